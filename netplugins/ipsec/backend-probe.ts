/** Who can encrypt on this host. */
import { access } from 'node:fs/promises'
import { runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import type { Backend } from './connection.ts'

/** In a network namespace that ends with the command: nothing of the host's is touched, and modules are loaded. */
const IN_SCRATCH = ['--net', 'ip']

/** A key that protects nothing. */
const KEY = `0x${'00'.repeat(20)}`

const STATE = [
  ...['xfrm', 'state', 'add', 'src', '192.0.2.1', 'dst', '192.0.2.2'],
  ...['proto', 'esp', 'spi', '0x1000', 'mode', 'tunnel', 'aead', 'rfc4106(gcm(aes))', KEY, '128'],
]

const INTERFACE = ['link', 'add', 'probe', 'type', 'xfrm', 'dev', 'lo', 'if_id', '1']

const TUN_DEVICE = '/dev/net/tun'

/** What is asked of the host; a test says something else. */
export interface ProbeCommands {
  readonly run: (file: string, args: readonly string[]) => Promise<unknown>
  readonly hasFile: (file: string) => Promise<boolean>
}

const HOST: ProbeCommands = {
  run: (file, args) => runCommand(file, args, { deadline: 10_000 }),
  hasFile: file =>
    access(file).then(
      () => true,
      () => false,
    ),
}

/**
 * The kernel, where it has ESP with AES-GCM and xfrm interfaces; otherwise charon itself, through a TUN device.
 *
 * @throws `KernelRefused` where there is neither
 */
export async function probeBackend(commands: ProbeCommands = HOST): Promise<Backend> {
  try {
    await commands.run('unshare', [...IN_SCRATCH, ...STATE])
    await commands.run('unshare', [...IN_SCRATCH, ...INTERFACE])
    return 'kernel'
  } catch (cause) {
    if (await commands.hasFile(TUN_DEVICE)) return 'userspace'
    throw networkErrors.KernelRefused({
      object: 'IPsec',
      message: `the kernel has neither ESP and xfrm interfaces nor ${TUN_DEVICE}`,
      mend: 'load the modules esp4, xfrm_interface and tun, or choose another kind of network',
      cause,
    })
  }
}

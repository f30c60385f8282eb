/** File systems made from the static busybox of the host: no registry is needed for them. */
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pack } from 'tar-stream'
import { runCommand } from '../kit/index.ts'
import { imageErrors } from './errors.ts'

const BUSYBOX = '/bin/busybox'

/** e_type and program headers of an ELF file tell whether it needs a dynamic loader; PT_INTERP is 3. */
function needsLoader(elf: Buffer): boolean {
  const headerOffset = Number(elf.readBigUInt64LE(32))
  const size = elf.readUInt16LE(54)
  const count = elf.readUInt16LE(56)
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(headerOffset + index * size)).includes(
    3,
  )
}

/** @throws `NoStaticBusybox` */
export async function staticBusybox(): Promise<Buffer> {
  let binary: Buffer
  try {
    binary = await readFile(BUSYBOX)
  } catch (cause) {
    throw imageErrors.NoStaticBusybox({ object: BUSYBOX, cause })
  }
  if (binary.subarray(0, 4).toString('latin1') !== '\x7fELF' || needsLoader(binary)) {
    throw imageErrors.NoStaticBusybox({ object: BUSYBOX, message: 'is not statically linked' })
  }
  return binary
}

/** Only busybox: what the container that holds a pod's namespaces runs. */
export async function pauseFileSystem(): Promise<Readable> {
  const archive = pack()
  archive.entry({ name: 'bin', type: 'directory', mode: 0o755 })
  archive.entry({ name: 'bin/busybox', mode: 0o755 }, await staticBusybox())
  archive.finalize()
  return Readable.from(archive)
}

/** Busybox with all its commands, and the few files that programs expect. */
export async function busyboxFileSystem(): Promise<Readable> {
  const binary = await staticBusybox()
  const { stdout } = await runCommand(BUSYBOX, ['--list-full'])
  const commands = stdout.split('\n').filter(line => /^[a-z0-9/._[-]+$/i.test(line) && line !== 'bin/busybox')
  const directories = [
    'bin',
    'sbin',
    'usr',
    'usr/bin',
    'usr/sbin',
    'etc',
    'root',
    'tmp',
    'var',
    'var/www',
    'home',
  ]
  const archive = pack()
  for (const name of directories) {
    archive.entry({ name, type: 'directory', mode: name === 'tmp' ? 0o1777 : 0o755 })
  }
  archive.entry({ name: 'bin/busybox', mode: 0o755 }, binary)
  for (const name of commands) archive.entry({ name, type: 'symlink', linkname: BUSYBOX })
  archive.entry(
    { name: 'etc/passwd' },
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n',
  )
  archive.entry({ name: 'etc/group' }, 'root:x:0:\nnogroup:x:65534:\n')
  archive.entry({ name: 'etc/nsswitch.conf' }, 'hosts: files dns\n')
  archive.finalize()
  return Readable.from(archive)
}

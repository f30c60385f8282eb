/**
 * Whether packets between two ports of a bridge pass the host's iptables rules. Off by default: they need none, unless
 * somebody decides who may talk to whom.
 */
import { isDroverError, runCommand, Type, validatorOf } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

const linkDetails = validatorOf(
  Type.Array(
    Type.Object({
      linkinfo: Type.Object({
        info_data: Type.Object({ nf_call_iptables: Type.Optional(Type.Integer()) }),
      }),
    }),
  ),
)

/** The bridge's own switch; undefined where the kernel has none. */
async function switchOf(bridge: string): Promise<number | undefined> {
  const { stdout } = await runCommand('ip', ['-json', '-details', 'link', 'show', 'dev', bridge])
  return linkDetails.parse(JSON.parse(stdout), `link ${bridge}`)[0]?.linkinfo.info_data.nf_call_iptables
}

/**
 * Sets it for one bridge; those of others are not touched.
 *
 * @throws `BridgeUnfiltered` when it is wanted and the kernel cannot do it
 */
export async function setBridgedFiltering(bridge: string, wanted: boolean): Promise<void> {
  if ((await switchOf(bridge)) === (wanted ? 1 : 0)) return
  // The module makes the switch work; it may be there without a file, or be built in.
  if (wanted)
    await runCommand('modprobe', ['br_netfilter'], { acceptedExitCodes: [0, 1] }).catch(ignoreMissing)
  const { exitCode, stderr } = await runCommand(
    'ip',
    ['link', 'set', 'dev', bridge, 'type', 'bridge', 'nf_call_iptables', wanted ? '1' : '0'],
    { acceptedExitCodes: [0, 1, 2] },
  )
  if (exitCode === 0 || !wanted) return
  throw networkErrors.BridgeUnfiltered({ object: `bridge ${bridge}`, expected: stderr.trim().slice(0, 200) })
}

function ignoreMissing(error: unknown): void {
  if (!isDroverError(error, 'CommandMissing')) throw error
}

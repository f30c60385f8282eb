/** The table in the kernel, by the program nft. */
import { isDroverError, runCommand, Type, validatorOf } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { SERVICE_TABLE } from './chains.ts'

/** Milliseconds: all of a very large cluster on a busy host. */
const DEADLINE = 60_000

const chainListing = validatorOf(
  Type.Object({
    nftables: Type.Array(
      Type.Object({
        chain: Type.Optional(Type.Object({ table: Type.String(), name: Type.String() })),
      }),
    ),
  }),
)

const setListing = validatorOf(
  Type.Object({
    nftables: Type.Array(
      Type.Object({
        set: Type.Optional(
          Type.Object({
            table: Type.String(),
            name: Type.String(),
            elem: Type.Optional(Type.Array(Type.Unknown())),
          }),
        ),
      }),
    ),
  }),
)

const stayingClient = validatorOf(
  Type.Object({ elem: Type.Object({ val: Type.String({ format: 'ipv4' }), expires: Type.Integer() }) }),
)

/** Clients that stay with their endpoints: set of the endpoint → client → seconds until it is forgotten. */
export type StayingClients = ReadonlyMap<string, ReadonlyMap<string, number>>

function refused(action: string, stderr: string): Error {
  return networkErrors.ServicesRefused({
    object: `nftables table ${SERVICE_TABLE}`,
    message: `nft cannot ${action} it: ${stderr.trim().slice(0, 400)}`,
  })
}

/**
 * Makes all of the changes, or none.
 *
 * @param onStart told the id of the process that makes them
 * @throws `ServicesRefused`, `CommandMissing`, `DeadlineExceeded`
 */
export async function runStatements(
  statements: string,
  onStart: (processId: number) => void = () => undefined,
): Promise<void> {
  const { exitCode, stderr } = await runCommand('nft', ['-f', '-'], {
    input: statements,
    onStart,
    deadline: DEADLINE,
    acceptedExitCodes: [0, 1],
  })
  if (exitCode !== 0) throw refused('change', stderr)
}

/**
 * Names of the chains that the kernel has in our table: cheap, whatever the number of services.
 *
 * @throws `ServicesRefused`, `CommandMissing`, `DeadlineExceeded`
 */
export async function listChains(): Promise<Set<string>> {
  const { exitCode, stdout, stderr } = await runCommand('nft', ['--json', 'list', 'chains', 'ip'], {
    acceptedExitCodes: [0, 1],
  })
  if (exitCode !== 0) throw refused('read', stderr)
  const { nftables } = chainListing.parse(JSON.parse(stdout), 'list of nftables chains')
  return new Set(nftables.flatMap(({ chain }) => (chain?.table === SERVICE_TABLE ? [chain.name] : [])))
}

/**
 * Who stays with which endpoint now.
 *
 * @throws `ServicesRefused`, `CommandMissing`, `DeadlineExceeded`
 */
export async function listStayingClients(): Promise<StayingClients> {
  const { exitCode, stdout, stderr } = await runCommand('nft', ['--json', 'list', 'sets', 'ip'], {
    deadline: DEADLINE,
    acceptedExitCodes: [0, 1],
  })
  if (exitCode !== 0) throw refused('read', stderr)
  const { nftables } = setListing.parse(JSON.parse(stdout), 'list of nftables sets')
  return new Map(
    nftables.flatMap(({ set }) => {
      if (set === undefined || set.table !== SERVICE_TABLE) return []
      // Elements of other sets are no clients.
      const clients = (set.elem ?? []).filter(stayingClient.accepts).map(({ elem }) => elem)
      return [[set.name, new Map(clients.map(({ val, expires }) => [val, expires]))] as const]
    }),
  )
}

/** Removes the table from this host; none is fine. @throws `ServicesRefused`, `DeadlineExceeded` */
export async function removeServiceTable(): Promise<void> {
  try {
    // Made first where it is missing: then removing it cannot fail.
    await runStatements(`table ip ${SERVICE_TABLE}\ndelete table ip ${SERVICE_TABLE}\n`)
  } catch (error) {
    // Without the program there never was one.
    if (!isDroverError(error, 'CommandMissing')) throw error
  }
}

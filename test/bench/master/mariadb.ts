/** A MariaDB server as it comes, for the time of a measurement. */
import { MariadbServer } from '../../e2e/store/mariadb-server.ts'

/** @param work gets the URL of an empty database */
export async function withMariadb(work: (url: string) => Promise<void>): Promise<void> {
  const endings: (() => Promise<void>)[] = []
  const server = await MariadbServer.start(ending => endings.push(ending), [])
  try {
    await work(await server.createDatabase('drover'))
  } finally {
    for (const end of endings) await end()
  }
}

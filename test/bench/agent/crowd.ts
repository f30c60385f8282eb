/**
 * The other hosts of a cluster, as a process: they register, report so many containers, and then change one after the
 * other. Arguments: the server's addresses (HTTP, TLS), the file of its CA, a registration token; numbers of hosts,
 * containers of each, changes. Prints `there` and `changed`; goes on when a line is written to it.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import type { RegistrationAnswer } from '../../../protocol/index.ts'
import { SimulatedAgent } from '../metadata/simulated-agents.ts'

const [url = '', tlsUrl = '', authority = '', token = '', ...numbers] = process.argv.slice(2)
const [hosts = 0, containers = 0, changes = 0] = numbers.map(Number)
/** Milliseconds between two changes: the rate that the budget of the metadata service names. */
const PAUSE = 10

const lines = createInterface({ input: process.stdin })
const ca = await readFile(authority, 'utf8')
const agents: SimulatedAgent[] = []
for (let number = 1; number <= hosts; number += 1) {
  const answer = await fetch(`${url}/v3/register`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`registrationToken:${token}`).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ key: number.toString(16).padStart(64, '0'), hostname: `node-${number}` }),
  })
  if (!answer.ok) throw new Error(`host ${number} is not taken: ${await answer.text()}`)
  const agent = new SimulatedAgent(number, (await answer.json()) as RegistrationAnswer)
  await agent.connect(tlsUrl, ca)
  agent.reportAll(containers)
  agents.push(agent)
}
process.stdout.write('there\n')
await once(lines, 'line')
for (let change = 0; change < changes; change += 1) {
  agents[change % hosts]?.reportChange(Math.floor(change / hosts) % containers, change + 2)
  await setTimeout(PAUSE)
}
process.stdout.write('changed\n')
await once(lines, 'line')
process.exit(0)

/**
 * `drover bench [NAME…]`: figures as JSON lines, beside a peer's in the same run where there is one.
 *
 * A name is a folder below `test/bench`, or a file in one (`vxlan` for `network/vxlan.bench.ts`). The first line holds the machine's facts: figures of different machines, or of a
 * busy one, say nothing about each other.
 */
import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem } from 'node:os'
import path from 'node:path'

const DIRECTORY = path.join(import.meta.dirname, 'bench')

function machineFacts(): Record<string, unknown> {
  const processors = cpus()
  return {
    machine: {
      processors: processors.length,
      model: processors[0]?.model,
      memory: totalmem(),
      kernel: release(),
      node: process.version,
      load: loadavg()[0],
      time: new Date().toISOString(),
    },
  }
}

/** Every bench: folder, name of the file without its ending, and file. */
async function allBenches(): Promise<{ folder: string; name: string; file: string }[]> {
  const folders = (await readdir(DIRECTORY, { withFileTypes: true })).filter(entry => entry.isDirectory())
  const nested = folders.map(async ({ name: folder }) =>
    (await readdir(path.join(DIRECTORY, folder)))
      .filter(file => file.endsWith('.bench.ts'))
      .map(file => ({
        folder,
        name: file.replace(/\.bench\.ts$/, ''),
        file: path.join(DIRECTORY, folder, file),
      })),
  )
  return (await Promise.all(nested)).flat()
}

/** One after the other: two at a time would measure each other. */
async function run(file: string): Promise<boolean> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], { stdio: 'inherit' })
  return await new Promise(resolve => child.once('close', code => resolve(code === 0)))
}

const benches = await allBenches()
const known = new Set(benches.flatMap(({ folder, name }) => [folder, name]))
const wanted = process.argv.slice(2)
const unknown = wanted.filter(name => !known.has(name))
if (unknown.length > 0) {
  process.stderr.write(
    `error: there is no bench ${unknown.join(', ')}\n  expected: ${[...known].toSorted().join(', ')}\n`,
  )
  process.exit(2)
}
process.stdout.write(`${JSON.stringify(machineFacts())}\n`)
for (const { folder, name, file } of benches) {
  const chosen = wanted.length === 0 || wanted.includes(folder) || wanted.includes(name)
  if (chosen && !(await run(file))) process.exitCode = 1
}

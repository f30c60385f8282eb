/**
 * `drover bench [NAME…]`: figures as JSON lines, beside a peer's in the same run where there is one.
 *
 * A name is a folder below `test/bench`. The first line holds the machine's facts: figures of different machines, or of a
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

async function benchFiles(name: string): Promise<string[]> {
  const files = await readdir(path.join(DIRECTORY, name))
  return files.filter(file => file.endsWith('.bench.ts')).map(file => path.join(DIRECTORY, name, file))
}

/** One after the other: two at a time would measure each other. */
async function run(file: string): Promise<boolean> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], { stdio: 'inherit' })
  return await new Promise(resolve => child.once('close', code => resolve(code === 0)))
}

const known = (await readdir(DIRECTORY, { withFileTypes: true }))
  .filter(entry => entry.isDirectory())
  .map(({ name }) => name)
const wanted = process.argv.slice(2)
const unknown = wanted.filter(name => !known.includes(name))
if (unknown.length > 0) {
  process.stderr.write(`error: there is no bench ${unknown.join(', ')}\n  expected: ${known.join(', ')}\n`)
  process.exit(2)
}
process.stdout.write(`${JSON.stringify(machineFacts())}\n`)
for (const name of wanted.length === 0 ? known : wanted) {
  for (const file of await benchFiles(name)) if (!(await run(file))) process.exitCode = 1
}

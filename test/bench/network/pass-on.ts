/** What the benches of the network share: running in a private network. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Figure, PrintFigure } from '../figures.ts'

/** Runs a bench's file in a process of its own, which moves into a private network, and passes on its figures. */
export async function passOn(file: string, print: PrintFigure): Promise<void> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout })) print(JSON.parse(line) as Figure)
}

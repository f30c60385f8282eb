/** Starts and stops the server and the agent as processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import path from 'node:path'
import {
  atMost,
  type DaemonMessage,
  DroverError,
  makePrivateDirectory,
  sleep,
  systemErrorCode,
} from '../kit/index.ts'
import { cliErrors } from './errors.ts'

const ROOT = path.resolve(import.meta.dirname, '..')

export interface DaemonCommand {
  readonly name: 'server' | 'agent'
  readonly args: readonly string[]
  readonly logFile: string
  /** Whether it lives on when this process ends. */
  readonly detached: boolean
  /** Added to this process's environment. */
  readonly environment?: Readonly<Record<string, string>>
}

/** Options of Node for a daemon, as the launcher reads them: one in a line, beside comments. None without the file. */
async function nodeOptions(name: DaemonCommand['name']): Promise<string[]> {
  try {
    const text = await readFile(path.join(ROOT, name, 'node-options.txt'), 'utf8')
    return text.split('\n').filter(line => line.startsWith('--'))
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  }
}

/** Milliseconds for a daemon to become ready. */
const READY_DEADLINE = 60_000
/** Milliseconds for a daemon to end after it was asked to. */
const STOP_DEADLINE = 20_000

/**
 * Starts a daemon and waits until it is ready.
 *
 * @throws the daemon's own error when it says why it ends, `Failed` with the end of its log when it does not
 */
export async function startDaemon(command: DaemonCommand): Promise<ChildProcess> {
  await makePrivateDirectory(path.dirname(command.logFile))
  const options = await nodeOptions(command.name)
  const log = openSync(command.logFile, 'a', 0o600)
  const child = spawn(
    process.execPath,
    [...process.execArgv, ...options, path.join(ROOT, command.name, 'main.ts'), ...command.args],
    {
      stdio: ['ignore', log, log, 'ipc'],
      detached: command.detached,
      env: { ...process.env, ...command.environment },
    },
  )
  closeSync(log)
  const ready = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', code => {
      reject(
        cliErrors.Failed({
          object: command.name,
          message: `ended with code ${code}`,
          mend: `see ${command.logFile}`,
        }),
      )
    })
    child.on('message', (message: DaemonMessage) => {
      if (message.type === 'ready') resolve()
      else {
        const { code, message: text, expected, mend } = message
        const details = {
          ...(expected === undefined ? {} : { expected }),
          ...(mend === undefined ? {} : { mend }),
        }
        reject(new DroverError(code, { status: 500, message: text }, details))
      }
    })
  })
  try {
    await atMost(READY_DEADLINE, `start of the ${command.name} (log: ${command.logFile})`, ready)
  } catch (error) {
    child.kill('SIGTERM')
    throw error
  }
  if (command.detached) {
    child.disconnect()
    child.unref()
  }
  return child
}

/** The process that holds `<directory>/<name>.lock`; undefined when none does. */
export async function daemonProcess(directory: string, name: string): Promise<number | undefined> {
  const file = path.join(directory, `${name}.lock`)
  let handle: Awaited<ReturnType<typeof open>>
  try {
    handle = await open(file, 'r')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const free = await new Promise<boolean>((resolve, reject) => {
      const flock = spawn('flock', ['--exclusive', '--nonblock', '3'], {
        stdio: ['ignore', 'ignore', 'ignore', handle.fd],
      })
      flock.once('error', reject)
      flock.once('exit', code => resolve(code === 0))
    })
    if (free) return undefined
  } finally {
    await handle.close()
  }
  const pid = Number((await readFile(file, 'utf8')).trim())
  return Number.isInteger(pid) && pid > 1 ? pid : undefined
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error
  }
}

/**
 * Asks the daemon that holds a data directory to end, and waits until the directory is free; a daemon that does not end
 * is ended. The lock tells, not the process table: a process whose parent does not look after it stays there as a zombie.
 *
 * @returns the process that ended, undefined when none ran
 */
export async function stopDaemon(directory: string, name: string): Promise<number | undefined> {
  const pid = await daemonProcess(directory, name)
  if (pid === undefined) return undefined
  signal(pid, 'SIGTERM')
  const deadline = Date.now() + STOP_DEADLINE
  while ((await daemonProcess(directory, name)) === pid) {
    if (Date.now() > deadline) signal(pid, 'SIGKILL')
    await sleep(50)
  }
  return pid
}

/** Asks a child process to end and waits for it; one that does not is ended. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE)
  await ended
  clearTimeout(timer)
}

/** Runs one test file as a process of its own and reads its TAP. */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type FinalResults, Parser, type Result } from 'tap-parser'

export interface FileResult {
  readonly file: string
  readonly passed: number
  readonly failed: number
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
  /** What went wrong, ready to be read. */
  readonly failures: readonly string[]
  readonly milliseconds: number
}

/** Milliseconds that one file may take: ten minutes, or as many seconds as tap's own variable says. */
const FILE_DEADLINE = (Number(process.env.TAP_TIMEOUT) || 600) * 1_000
const DIAGNOSTICS_LIMIT = 4000

/** Every leaf of a tree of subtests, with the names that lead to it. */
function collectFailures(parser: Parser, names: readonly string[], into: string[]): void {
  parser.on('child', (child: Parser) => collectFailures(child, [...names, child.name], into))
  parser.on('assert', (result: Result) => {
    // A failed subtest is told by what failed in it.
    if (result.ok || result.todo || result.skip || result.name.startsWith('child test left')) return
    if (result.diag === null || result.diag === undefined || 'test' in result || names.length > 0) {
      const diagnostics = result.diag
        ? `\n${JSON.stringify(result.diag, null, 2).slice(0, DIAGNOSTICS_LIMIT)}`
        : ''
      into.push(`${[...names, result.name].join(' › ')}${diagnostics}`)
    }
  })
}

function skippedOf(results: FinalResults): FileResult['skipped'] {
  return results.skips.map(({ name, skip }) => ({
    name,
    reason: typeof skip === 'string' ? skip : 'no reason given',
  }))
}

/** SQLite takes the name of a temporary file away at once; a process that a test kills just then cannot. */
const UNAVOIDABLE = /^etilqs_/

/**
 * Runs a file to its end; one that hangs is ended together with everything that it started.
 *
 * It has a directory of its own for temporary files. Whatever is in it when a file has passed, the file left behind: that
 * is a failure of its own.
 */
export async function runTestFile(file: string): Promise<FileResult> {
  // Short: sockets are in it, whose names have at most 107 characters.
  const directory = await mkdtemp(path.join(tmpdir(), 'test-'))
  try {
    const result = await runIn(directory, file)
    const left = (await readdir(directory)).filter(name => !UNAVOIDABLE.test(name))
    if (result.failed > 0 || left.length === 0) return result
    return { ...result, failed: 1, failures: [`left behind: ${left.join(', ')}`] }
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

function runIn(temporaryDirectory: string, file: string): Promise<FileResult> {
  const begin = performance.now()
  return new Promise(resolve => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      // tap would end a file after 30 s, which says more about the machine than about the file.
      env: { ...process.env, TMPDIR: temporaryDirectory, TAP_TIMEOUT: String(FILE_DEADLINE / 1000) },
    })
    let errors = ''
    let late = false
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-DIAGNOSTICS_LIMIT)
    })
    const timer = setTimeout(() => {
      late = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, FILE_DEADLINE)
    const failures: string[] = []
    const parser = new Parser((results: FinalResults) => {
      clearTimeout(timer)
      void exit.then(code => {
        const broken = late || (code !== 0 && results.fail === 0) || results.count === 0
        if (late) failures.push(`did not end within ${FILE_DEADLINE / 1000} s`)
        else if (broken) failures.push(`ended with code ${code} without a failing test\n${errors}`)
        resolve({
          file,
          passed: results.pass - results.skip,
          failed: results.fail + (broken ? 1 : 0),
          skipped: skippedOf(results),
          failures,
          milliseconds: performance.now() - begin,
        })
      })
    })
    const exit = new Promise<number | null>(done => child.once('close', done))
    collectFailures(parser, [], failures)
    child.stdout.pipe(parser)
  })
}

/**
 * `drover test [SUITE…]`: lint, types, and every test file as a process of its own, two at a time.
 *
 * An end-to-end test that failed beside others is run once more, alone, after all others: what it needs of two cores
 * may have been missing. Both runs are told; the second one counts.
 *
 * A suite is `lint`, `types`, a folder below `test/` (`unit`, `e2e`, `e2e/network`) or a file. The last line is
 * `N passed, N failed`, with `, N skipped` when something was.
 */
import path from 'node:path'
import { explainError, runCommand } from '../kit/index.ts'
import { type FileResult, runTestFile } from './runner/run-file.ts'
import { allTestFiles, filesOfSuite, ROOT } from './runner/suites.ts'

const CONCURRENCY = 2
/** Milliseconds for lint or types. */
const CHECK_DEADLINE = 300_000

const totals = { passed: 0, failed: 0, skipped: 0 }

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function report(result: FileResult): void {
  totals.passed += result.passed
  totals.failed += result.failed
  totals.skipped += result.skipped.length
  const seconds = (result.milliseconds / 1000).toFixed(1)
  const skips = result.skipped.length === 0 ? '' : `, ${result.skipped.length} skipped`
  print(
    `${result.failed === 0 ? 'ok    ' : 'FAILED'} ${result.file} (${result.passed} passed${skips}, ${seconds} s)`,
  )
  for (const { name, reason } of result.skipped) print(`       skipped: ${name}: ${reason}`)
  for (const failure of result.failures) print(failure.replaceAll(/^/gm, '       '))
}

/** Files that are run once more, alone. */
const again: string[] = []

/** Runs a file beside another. */
async function runBeside(file: string): Promise<void> {
  const result = { ...(await runTestFile(path.join(ROOT, file))), file }
  if (result.failed === 0 || !file.startsWith('test/e2e/')) {
    report(result)
    return
  }
  again.push(file)
  print(
    `again  ${file} (${result.failed} failed beside others, ${(result.milliseconds / 1000).toFixed(1)} s)`,
  )
  for (const failure of result.failures) print(failure.replaceAll(/^/gm, '       '))
}

type Check = 'lint' | 'types'

function isCheck(suite: string): suite is Check {
  return suite === 'lint' || suite === 'types'
}

/** Lint and types, as one result each. */
async function check(name: Check): Promise<void> {
  const [command, ...args] = name === 'lint' ? ['biome', 'check', '.'] : ['tsc', '--noEmit']
  const begin = performance.now()
  const failures: string[] = []
  try {
    const file = path.join(ROOT, 'node_modules/.bin', command ?? '')
    const { exitCode, stdout, stderr } = await runCommand(file, args, {
      directory: ROOT,
      deadline: CHECK_DEADLINE,
      acceptedExitCodes: [0, 1, 2],
    })
    if (exitCode !== 0) failures.push(`${stdout}${stderr}`)
  } catch (error) {
    failures.push(explainError(error))
  }
  const failed = failures.length
  report({
    file: name,
    passed: 1 - failed,
    failed,
    skipped: [],
    failures,
    milliseconds: performance.now() - begin,
  })
}

/** What to do, in order; files that take long begin first, so that none is left alone at the end. */
async function plan(suites: readonly string[]): Promise<(() => Promise<void>)[]> {
  const files = await allTestFiles()
  const wanted =
    suites.length === 0 ? ['lint', 'types', ...new Set(files.map(file => file.split('/')[1] ?? ''))] : suites
  const checks = wanted.filter(isCheck)
  const chosen = new Set(wanted.flatMap(suite => filesOfSuite(files, suite)))
  for (const suite of wanted) {
    if (!isCheck(suite) && filesOfSuite(files, suite).length === 0) {
      process.stderr.write(`error: there is no suite ${suite}\n`)
      process.exit(2)
    }
  }
  const order = ['e2e', 'faults', 'fuzz', 'conformance', 'unit']
  const rank = (file: string) => order.indexOf(file.split('/')[1] ?? '')
  const sorted = [...chosen].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  return [...checks.map(name => () => check(name)), ...sorted.map(file => () => runBeside(file))]
}

const work = await plan(process.argv.slice(2))
await Promise.all(
  Array.from({ length: CONCURRENCY }, async () => {
    for (let next = work.shift(); next !== undefined; next = work.shift()) await next()
  }),
)
for (const file of again) report({ ...(await runTestFile(path.join(ROOT, file))), file })
const skipped = totals.skipped === 0 ? '' : `, ${totals.skipped} skipped`
print(`${totals.passed} passed, ${totals.failed} failed${skipped}`)
process.exitCode = totals.failed === 0 ? 0 : 1

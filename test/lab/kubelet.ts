/**
 * A real kubelet for tests. No package brings one that runs without a container runtime of its own; Debian's sources of
 * Kubernetes 1.20, whose kubelet speaks to Docker itself, are got by apt from where this machine gets its packages, checked
 * by apt, and built once into `build/`.
 */
import { constants } from 'node:fs'
import { access, chmod, copyFile, mkdir, mkdtemp, readdir, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  type DirectoryLock,
  explainError,
  isDroverError,
  lockDirectory,
  runCommand,
  sleep,
} from '../../kit/index.ts'

const BUILT = path.resolve(import.meta.dirname, '../../build/kubelet/kubelet')
const VERSION = '1.20.2'
const COMPILER = '1.19'

/** Milliseconds for getting packages, and for compiling, on a machine that has other things to do. */
const FETCH_DEADLINE = 120_000
const BUILD_DEADLINE = 480_000
/** Milliseconds between two looks whether somebody else has built it. */
const LOCK_INTERVAL = 1_000

async function isProgram(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** A kubelet that is there already: named by `DROVER_KUBELET`, or built before. */
export async function presentKubelet(): Promise<string | undefined> {
  const given = process.env.DROVER_KUBELET ?? ''
  if (given !== '') return given
  return (await isProgram(BUILT)) ? BUILT : undefined
}

/** Why there is no kubelet, and none can be built; false when there is one now. */
export async function missingKubelet(): Promise<string | false> {
  if ((await presentKubelet()) !== undefined) return false
  if (!(await isProgram('/usr/bin/apt-get'))) return `needs apt-get to build a kubelet, or DROVER_KUBELET`
  await mkdir(path.dirname(BUILT), { recursive: true })
  const lock = await lockWhenFree()
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-kubelet-'))
  try {
    // Of several tests that want one, the first builds it.
    if (await isProgram(BUILT)) return false
    await fetchSources(directory)
    await build(directory)
    return false
  } catch (error) {
    if (!isDroverError(error)) throw error
    return `no kubelet could be built: ${explainError(error).slice(0, 500)}`
  } finally {
    // The compiler's cache has directories that may not be written to.
    await runCommand('rm', ['-rf', directory], { deadline: FETCH_DEADLINE })
    await lock.release()
  }
}

/** @throws `DirectoryInUse` when others take longer than a build may */
async function lockWhenFree(): Promise<DirectoryLock> {
  const end = performance.now() + FETCH_DEADLINE + BUILD_DEADLINE
  for (;;) {
    try {
      return await lockDirectory(path.dirname(BUILT), 'build')
    } catch (error) {
      if (!isDroverError(error, 'DirectoryInUse') || performance.now() > end) throw error
      await sleep(LOCK_INTERVAL)
    }
  }
}

/** apt with lists and caches of its own, so that nothing of the machine changes. */
function aptOptions(directory: string): string[] {
  const options = {
    'Dir::Etc::SourceList': path.join(directory, 'sources.list'),
    'Dir::Etc::SourceParts': '-',
    'Dir::State::Lists': path.join(directory, 'lists'),
    'Dir::Cache': path.join(directory, 'cache'),
    'APT::Sandbox::User': 'root',
  }
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
}

/** Whose keys Debian's lists are signed with. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** The machine's own places for packages of Debian, as lines of a list, for packages and for sources. */
async function sourceLines(): Promise<string[]> {
  const format = '$(ORIGIN)|$(SITE)|$(RELEASE)|$(COMPONENT)'
  const { stdout } = await runCommand('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'])
  const lines = stdout.split('\n').flatMap(line => {
    const [origin, ...place] = line.split('|')
    if (origin !== 'Debian' || place.at(-1) !== 'main') return []
    return ['deb', 'deb-src'].map(kind => [kind, `[signed-by=${KEYRING}]`, ...place].join(' '))
  })
  return [...new Set(lines)]
}

/** Gets the sources and a compiler, and unpacks them below `directory`. */
async function fetchSources(directory: string): Promise<void> {
  const options = aptOptions(directory)
  for (const name of ['lists/partial', 'cache/archives/partial', 'compiler', 'packages'])
    await mkdir(path.join(directory, name), { recursive: true })
  await writeFile(path.join(directory, 'sources.list'), `${(await sourceLines()).join('\n')}\n`)
  const run = { directory: path.join(directory, 'packages'), deadline: FETCH_DEADLINE }
  await runCommand('apt-get', [...options, 'update', '-qq'], run)
  const compiler = [`golang-${COMPILER}-go`, `golang-${COMPILER}-src`]
  await runCommand('apt-get', [...options, 'download', '-qq', ...compiler], run)
  await runCommand('apt-get', [...options, 'source', '-qq', '--download-only', 'kubernetes'], run)
  const files = (await readdir(run.directory)).map(name => path.join(run.directory, name))
  for (const file of files.filter(name => name.endsWith('.deb')))
    await runCommand('dpkg', ['-x', file, path.join(directory, 'compiler')], run)
  const place = path.join(directory, 'go/src/k8s.io')
  await mkdir(place, { recursive: true })
  for (const file of files.filter(name => name.includes('.orig.tar.')))
    await runCommand('tar', ['-xf', file, '-C', place], run)
  // By its own name: packages are what their directories are called, and a link would make two of each.
  const wanted = path.join(place, `kubernetes-${VERSION}`)
  await runCommand('mv', ['-T', wanted, path.join(place, 'kubernetes')])
}

/** Compiles the kubelet into `build/`. */
async function build(directory: string): Promise<void> {
  const root = path.join(directory, `compiler/usr/lib/go-${COMPILER}`)
  const output = path.join(directory, 'kubelet')
  const [major, minor] = VERSION.split('.')
  const facts = { gitVersion: `v${VERSION}`, gitMajor: major, gitMinor: minor }
  const flags = Object.entries(facts).map(
    ([name, value]) => `-X k8s.io/kubernetes/vendor/k8s.io/component-base/version.${name}=${value}`,
  )
  const args = [
    ...['build', '-trimpath', '-tags', 'providerless', '-ldflags', ['-s', '-w', ...flags].join(' ')],
    ...['-o', output, './cmd/kubelet'],
  ]
  await runCommand('nice', [path.join(root, 'bin/go'), ...args], {
    directory: path.join(directory, 'go/src/k8s.io/kubernetes'),
    deadline: BUILD_DEADLINE,
    environment: {
      GOROOT: root,
      GOPATH: path.join(directory, 'go'),
      GOCACHE: path.join(directory, 'compiled'),
      GO111MODULE: 'off',
      GOFLAGS: '',
      CGO_ENABLED: '0',
    },
  })
  // One that does not run is none.
  await runCommand(output, ['--version'])
  // In one step, for others that look.
  const temporary = `${BUILT}.${process.pid}.tmp`
  await copyFile(output, temporary)
  await chmod(temporary, 0o755)
  await rename(temporary, BUILT)
}

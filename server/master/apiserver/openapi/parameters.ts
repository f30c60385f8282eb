/** Parameters of operations. */

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query'
  readonly type: 'string' | 'integer' | 'boolean'
}

const TYPES: Readonly<Record<string, Parameter['type']>> = {
  allowWatchBookmarks: 'boolean',
  follow: 'boolean',
  force: 'boolean',
  gracePeriodSeconds: 'integer',
  insecureSkipTLSVerifyBackend: 'boolean',
  limit: 'integer',
  limitBytes: 'integer',
  orphanDependents: 'boolean',
  ports: 'integer',
  previous: 'boolean',
  sendInitialEvents: 'boolean',
  sinceSeconds: 'integer',
  stderr: 'boolean',
  stdin: 'boolean',
  stdout: 'boolean',
  tailLines: 'integer',
  timeoutSeconds: 'integer',
  timestamps: 'boolean',
  tty: 'boolean',
  watch: 'boolean',
}

/** Of everything that answers with objects. */
const SHOW = ['pretty']
const WRITE = [...SHOW, 'dryRun', 'fieldManager', 'fieldValidation']
const SELECT = [
  ...SHOW,
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
]
const LIST = [...SELECT, 'allowWatchBookmarks', 'watch']
const DELETE = [...SHOW, 'dryRun', 'gracePeriodSeconds', 'orphanDependents', 'propagationPolicy']
const ATTACH = ['container', 'stderr', 'stdin', 'stdout', 'tty']

/** By what an operation does. */
export const QUERY = {
  get: SHOW,
  write: WRITE,
  patch: [...WRITE, 'force'],
  list: LIST,
  delete: DELETE,
  deleteCollection: [...new Set([...SELECT, ...DELETE])],
} as const satisfies Record<string, readonly string[]>

/** Of subresources that are streams, by their names. */
export const STREAM_QUERY: Readonly<Record<string, readonly string[]>> = {
  attach: ATTACH,
  exec: [...ATTACH, 'command'],
  log: [
    ...['container', 'follow', 'insecureSkipTLSVerifyBackend', 'limitBytes', 'previous', 'sinceSeconds'],
    ...[...SHOW, 'stream', 'tailLines', 'timestamps'],
  ],
  portforward: ['ports'],
  proxy: ['path'],
}

/** The parameters of an operation at a path with names in braces. */
export function parametersOf(path: string, query: readonly string[]): readonly Parameter[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  return [
    ...inPath.map((name): Parameter => ({ name, in: 'path', type: 'string' })),
    ...query.toSorted().map((name): Parameter => ({ name, in: 'query', type: TYPES[name] ?? 'string' })),
  ]
}

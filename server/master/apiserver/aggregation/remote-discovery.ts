/** What servers inside of a cluster say they serve, in the form of aggregated discovery (`apidiscovery.k8s.io/v2`). */
import { type Static, Type, validatorOf } from '../../../../kit/index.ts'

const text = Type.String({ maxLength: 256 })
const texts = Type.Optional(Type.Array(text, { maxItems: 100 }))
const MOST = 2_000

const kind = Type.Object({ group: Type.Optional(text), version: Type.Optional(text), kind: text })

const subresource = Type.Object({
  subresource: text,
  responseKind: Type.Optional(kind),
  verbs: texts,
})

const resource = Type.Object({
  resource: text,
  responseKind: Type.Optional(kind),
  scope: text,
  singularResource: Type.Optional(text),
  verbs: texts,
  shortNames: texts,
  categories: texts,
  subresources: Type.Optional(Type.Array(subresource, { maxItems: 100 })),
})

/** A resource as aggregated discovery tells of it. */
export type DiscoveredResource = Static<typeof resource>

const aggregated = validatorOf(
  Type.Object({
    kind: Type.Literal('APIGroupDiscoveryList'),
    items: Type.Array(
      Type.Object({
        metadata: Type.Optional(Type.Object({ name: Type.Optional(text) })),
        versions: Type.Array(
          Type.Object({
            version: text,
            resources: Type.Optional(Type.Array(resource, { maxItems: MOST })),
          }),
          { maxItems: 100 },
        ),
      }),
      { maxItems: MOST },
    ),
  }),
)

const legacy = validatorOf(
  Type.Object({
    kind: Type.Literal('APIResourceList'),
    resources: Type.Array(
      Type.Object({
        name: text,
        singularName: Type.Optional(text),
        namespaced: Type.Boolean(),
        group: Type.Optional(text),
        version: Type.Optional(text),
        kind: text,
        verbs: texts,
        shortNames: texts,
        categories: texts,
      }),
      { maxItems: MOST },
    ),
  }),
)

/** What asks for the aggregated form, in the versions that servers have. */
export const AGGREGATED_ACCEPT = ['v2', 'v2beta1']
  .map(version => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`)
  .join(',')

/**
 * The resources of a version of a group in an aggregated document.
 *
 * @returns undefined when it is none, or has no such version
 * @throws for a document of another form
 */
export function resourcesIn(
  document: unknown,
  group: string,
  version: string,
): readonly DiscoveredResource[] | undefined {
  if ((document as { kind?: unknown } | null)?.kind !== 'APIGroupDiscoveryList') return undefined
  const found = aggregated
    .parse(document, 'discovery')
    .items.find(({ metadata }) => metadata?.name === group)
    ?.versions.find(each => each.version === version)
  return found && (found.resources ?? [])
}

/** The same from the older list of one version. @throws for a document of another form */
export function resourcesOfList(
  document: unknown,
  group: string,
  version: string,
): readonly DiscoveredResource[] {
  const { resources } = legacy.parse(document, 'discovery')
  const kindOf = (each: (typeof resources)[number]) => ({
    group: each.group ?? group,
    version: each.version ?? version,
    kind: each.kind,
  })
  return resources
    .filter(({ name }) => !name.includes('/'))
    .map(each => ({
      resource: each.name,
      responseKind: kindOf(each),
      scope: each.namespaced ? 'Namespaced' : 'Cluster',
      singularResource: each.singularName ?? '',
      verbs: each.verbs ?? [],
      ...(each.shortNames === undefined ? {} : { shortNames: each.shortNames }),
      ...(each.categories === undefined ? {} : { categories: each.categories }),
      subresources: resources
        .filter(({ name }) => name.startsWith(`${each.name}/`))
        .map(part => ({
          subresource: part.name.slice(each.name.length + 1),
          responseKind: kindOf(part),
          verbs: part.verbs ?? [],
        })),
    }))
}

/** The network of a cluster: its kind, options and policies. */
import {
  ipv6Problem,
  missingOption,
  NETWORK_KINDS,
  type NetworkKind,
  type NetworkOptions,
  networkOptions,
  networkPolicy,
} from '../../../protocol/index.ts'
import type { Network } from '../../model/index.ts'
import type { ApiContext } from '../context.ts'
import { apiErrors } from '../errors.ts'
import type { ResourceType } from '../resource-type.ts'

/** Kubernetes object names of files: no path may come out of them. */
const CONFIGURATION_FILE = /^[A-Za-z0-9._-]{1,128}\.(conf|conflist|json)$/

function checkFileNames(options: NetworkOptions): void {
  for (const name of Object.keys(options.external?.cniConfig ?? {})) {
    if (CONFIGURATION_FILE.test(name)) continue
    throw apiErrors.InvalidCharacters({
      field: 'options',
      object: `file ${JSON.stringify(name)}`,
      expected: 'letters, digits, dots, underscores and hyphens, ending in .conf, .conflist or .json',
    })
  }
}

/** The network with `input` laid over it. @throws `InvalidFormat`, `MissingRequired` */
function changedNetwork(network: Network, input: Record<string, unknown>): Network {
  const kind = (input.kind as NetworkKind | undefined) ?? network.kind
  const options =
    input.options === undefined ? network.options : networkOptions.parse(input.options, 'options')
  const policy = input.policy === undefined ? network.policy : networkPolicy.parse(input.policy, 'policy')
  checkFileNames(options)
  const missing = missingOption(kind, options)
  if (missing !== undefined) {
    throw apiErrors.MissingRequired({
      field: `options.${missing}`,
      object: `options.${missing}`,
      message: `is required for a network of kind ${kind}`,
      mend: `say it with the kind: drover network set ${kind} --options JSON (docs/operations.md has examples)`,
    })
  }
  const problem = ipv6Problem(kind, options)
  if (problem !== undefined) {
    throw apiErrors.InvalidFormat({ field: 'options.ipv6Prefix', object: 'ipv6Prefix', message: problem })
  }
  const { hostPorts = network.hostPorts, defaultPolicyAction = network.defaultPolicyAction } =
    input as Partial<Pick<Network, 'hostPorts' | 'defaultPolicyAction'>>
  return { ...network, kind, options, policy, hostPorts, defaultPolicyAction }
}

export function networkType({ model }: ApiContext): ResourceType<'network'> {
  return {
    type: 'network',
    kind: 'network',
    plural: 'networks',
    fields: {
      kind: { type: 'enum', options: NETWORK_KINDS, update: true },
      options: { type: 'json', update: true },
      clusterId: { type: 'reference[cluster]' },
      isDefault: { type: 'boolean' },
      hostPorts: { type: 'boolean', update: true },
      subnets: { type: 'array[json]' },
      dns: { type: 'array[string]' },
      defaultPolicyAction: { type: 'enum', options: ['allow', 'deny'], update: true },
      policy: { type: 'array[json]', update: true },
    },
    show: network => ({
      kind: network.kind,
      options: network.options,
      clusterId: network.clusterId,
      isDefault: network.isDefault,
      hostPorts: network.hostPorts,
      subnets: network.subnets,
      dns: network.dns,
      defaultPolicyAction: network.defaultPolicyAction,
      policy: network.policy,
    }),
    update: async (network, input) =>
      await model.networks.update(network.id, current => changedNetwork(current, input)),
    actions: {
      /** Gives the cluster's hosts another key to prove themselves with; connections go on. */
      rotatekey: {
        output: 'network',
        available: network => network.state === 'active',
        run: async network =>
          await model.networks.update(network.id, current => ({
            ...current,
            keyVersion: current.keyVersion + 1,
          })),
      },
    },
  }
}

/**
 * The rules of a host whose network is somebody else's (an imported cluster): published ports, and the way to metadata and
 * DNS. Nothing about containers' own traffic.
 */
import { type DesiredRules, NO_RULES } from '../../netplugins/iptables/index.ts'
import type { Attachment } from './attachment.ts'
import {
  fromElsewhere,
  JUMPS,
  metadataRules,
  PUBLISHED_MARK,
  publicationsOf,
  toContainer,
  toHostPort,
  USER_CHAIN,
} from './firewall-rules.ts'
import type { NetworkSettings } from './settings.ts'

export interface ImportedRulesInput {
  readonly metadata: NetworkSettings['metadata']
  readonly published: readonly Pick<Attachment, 'address' | 'ports'>[]
  /** Links by which others reach this host: how containers are connected is not ours to know. */
  readonly uplinks: readonly string[]
}

export function importedRules({ metadata, published, uplinks }: ImportedRulesInput): DesiredRules {
  const ports = publicationsOf(published)
  return {
    raw: NO_RULES.raw,
    nat: {
      chains: new Map([
        ['CATTLE_PREROUTING', [...metadataRules(metadata), ...ports.flatMap(fromElsewhere)]],
        [
          'CATTLE_OUTPUT',
          [
            ...metadataRules(metadata),
            ...ports.map(port => `${toHostPort(port, '! -d 127.0.0.0/8 ')} ${toContainer(port)}`),
          ],
        ],
        [
          'CATTLE_HOSTPORTS_POSTROUTING',
          [
            ...new Set(
              ports.map(
                ({ address, protocol, containerPort }) =>
                  `-s ${address}/32 -d ${address}/32 -p ${protocol} -m ${protocol} --dport ${containerPort} -m conntrack --ctstate DNAT -j MASQUERADE`,
              ),
            ),
          ],
        ],
      ]),
      userChains: [],
      jumps: JUMPS.nat.filter(jump => !jump.rule.endsWith('CATTLE_NAT_POSTROUTING')),
    },
    filter: {
      chains: new Map([
        ['CATTLE_INPUT', uplinks.toSorted().map(link => `-d ${metadata.address}/32 -i ${link} -j DROP`)],
        [
          'CATTLE_FORWARD',
          [
            `-m mark --mark ${PUBLISHED_MARK} -j ACCEPT`,
            // What follows on the first packets, and answers.
            ...new Set(
              ports.flatMap(({ address, protocol, containerPort }) => {
                const known = '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'
                const by = `-p ${protocol} -m ${protocol}`
                return [
                  `-d ${address}/32 ${by} --dport ${containerPort} ${known}`,
                  `-s ${address}/32 ${by} --sport ${containerPort} ${known}`,
                ]
              }),
            ),
          ],
        ],
      ]),
      userChains: [USER_CHAIN],
      jumps: JUMPS.filter,
    },
  }
}

/** `lb_config` of services, in the words of metadata. */
import type { PortRule, ServiceInfo, StickinessPolicy, TargetRule } from '../../../protocol/index.ts'
import { linkedService, type ModelReader } from '../model/index.ts'
import type { PlainMap } from './view-value.ts'

function ruleView(rule: PortRule, service: ServiceInfo, reader: ModelReader): PlainMap {
  const target = rule.service === undefined ? undefined : linkedService(reader, service, rule.service)
  const stack = target && reader.get('stack', target.stackUuid)
  return {
    source_port: rule.sourcePort,
    protocol: rule.protocol,
    ...targetRuleView(rule),
    service: target === undefined ? (rule.service ?? '') : `${stack?.name ?? ''}/${target.name}`,
    service_uuid: target?.uuid ?? '',
    container: rule.container ?? '',
    selector: rule.selector ?? '',
    priority: rule.priority ?? 0,
    weight: rule.weight ?? 0,
  }
}

function targetRuleView({ hostname, path, targetPort, backendName }: TargetRule): PlainMap {
  return {
    hostname: hostname ?? '',
    path: path ?? '',
    target_port: targetPort ?? 0,
    backend_name: backendName ?? '',
  }
}

function stickinessView(policy: StickinessPolicy): PlainMap {
  const { name = '', cookie = '', domain = '', mode = '' } = policy
  const { indirect = false, nocache = false, postonly = false } = policy
  return { name, cookie, domain, indirect, nocache, postonly, mode }
}

/** What a balancer does, or what a service asks of balancers; nothing for others. */
export function balancerView(service: ServiceInfo, reader: ModelReader): PlainMap {
  const { lbConfig, lbTargetConfig } = service
  if (lbConfig === undefined) {
    return lbTargetConfig === undefined
      ? {}
      : { lb_config: { port_rules: lbTargetConfig.portRules.map(targetRuleView) } }
  }
  return {
    lb_config: {
      certs: lbConfig.certificates,
      default_cert: lbConfig.defaultCertificate ?? '',
      config: lbConfig.config ?? '',
      port_rules: lbConfig.portRules.map(rule => ruleView(rule, service, reader)),
      ...(lbConfig.stickinessPolicy === undefined
        ? {}
        : { stickiness_policy: stickinessView(lbConfig.stickinessPolicy) }),
    },
  }
}

/** Configurations of load balancers in the form of the `/v3` API, and in ours: there by id, here by name. */
import { Type, validatorOf } from '../../kit/index.ts'
import {
  BALANCER_CONFIG_LIMIT,
  type BalancerConfig,
  type BalancerTargetConfig,
  balancerConfigProblem,
  type PortRule,
  portRuleSchema,
  stickinessSchema,
  targetRuleSchema,
} from '../../protocol/index.ts'
import type { Model, ModelObject } from '../model/index.ts'
import { apiErrors } from './errors.ts'

const id = Type.Optional(Type.String({ maxLength: 64 }))

const configSchema = validatorOf(
  Type.Object({
    portRules: Type.Optional(
      Type.Array(Type.Intersect([portRuleSchema, Type.Object({ serviceId: id, instanceId: id })]), {
        maxItems: 2_000,
      }),
    ),
    certificateIds: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1_000 })),
    defaultCertificateId: id,
    config: Type.Optional(Type.String({ maxLength: BALANCER_CONFIG_LIMIT })),
    stickinessPolicy: Type.Optional(stickinessSchema),
  }),
)

const targetSchema = validatorOf(
  Type.Object({ portRules: Type.Optional(Type.Array(targetRuleSchema, { maxItems: 200 })) }),
)

/** What clients leave empty says nothing: null, an empty text, and 0 for a number that has no 0. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([name, each]) =>
          each !== null && each !== '' && !(each === 0 && (name === 'priority' || name === 'targetPort')),
      )
      .map(([name, each]) => [name, withoutEmpty(each)]),
  )
}

export class BalancerConfigs {
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  /** @param labels of the balancer's containers @throws `InvalidFormat`, `InvalidReference` */
  parse(value: unknown, accountId: string, labels: Readonly<Record<string, string>>): BalancerConfig {
    const input = configSchema.parse(withoutEmpty(value), 'lbConfig')
    const certificate = (each: string, field: string) =>
      this.#find(this.#model.certificates.get(each), accountId, `certificate ${each}`, field).name
    const config: BalancerConfig = {
      portRules: (input.portRules ?? []).map((rule, index) => this.#rule(rule, accountId, index)),
      certificates: (input.certificateIds ?? []).map(each => certificate(each, 'lbConfig.certificateIds')),
      ...(input.defaultCertificateId === undefined
        ? {}
        : { defaultCertificate: certificate(input.defaultCertificateId, 'lbConfig.defaultCertificateId') }),
      ...(input.config === undefined ? {} : { config: input.config }),
      ...(input.stickinessPolicy === undefined ? {} : { stickinessPolicy: input.stickinessPolicy }),
    }
    const found = balancerConfigProblem(config, labels)
    if (found === undefined) return config
    const field = found.rule === undefined ? 'lbConfig' : `lbConfig.portRules[${found.rule}]`
    throw apiErrors.InvalidFormat({ field, object: field, message: found.problem, expected: found.expected })
  }

  parseTarget(value: unknown): BalancerTargetConfig {
    return { portRules: targetSchema.parse(withoutEmpty(value), 'lbTargetConfig').portRules ?? [] }
  }

  show(config: BalancerConfig | undefined, service: { accountId: string; stackId: string }): unknown {
    if (config === undefined) return null
    const { accountId } = service
    const certificate = (name: string) => this.#model.certificates.find('name', `${accountId}/${name}`)?.id
    return {
      portRules: config.portRules.map(rule => ({ ...rule, ...this.#idsOf(rule, service) })),
      certificateIds: config.certificates.flatMap(name => certificate(name) ?? []),
      defaultCertificateId: certificate(config.defaultCertificate ?? '') ?? null,
      config: config.config ?? null,
      stickinessPolicy: config.stickinessPolicy ?? null,
    }
  }

  #rule(
    input: PortRule & { serviceId?: string; instanceId?: string },
    accountId: string,
    index: number,
  ): PortRule {
    const { serviceId, instanceId, service, container, ...rest } = input
    const field = `lbConfig.portRules[${index}]`
    // Ids say more than names, which clients send back as they got them.
    if (serviceId !== undefined) {
      const found = this.#find(this.#model.services.get(serviceId), accountId, `service ${serviceId}`, field)
      return { ...rest, service: `${this.#model.stacks.require(found.stackId).name}/${found.name}` }
    }
    if (instanceId !== undefined) {
      const found = this.#find(
        this.#model.containers.get(instanceId),
        accountId,
        `container ${instanceId}`,
        field,
      )
      return { ...rest, container: found.name }
    }
    return {
      ...rest,
      ...(service === undefined ? {} : { service }),
      ...(container === undefined ? {} : { container }),
    }
  }

  #find<T extends ModelObject & { readonly accountId: string }>(
    object: T | undefined,
    accountId: string,
    name: string,
    field: string,
  ): T {
    if (object?.accountId === accountId) return object
    throw apiErrors.InvalidReference({ object: name, field })
  }

  #idsOf(
    { service, container }: PortRule,
    { accountId, stackId }: { accountId: string; stackId: string },
  ): { serviceId: string | null; instanceId: string | null } {
    const [name = '', stackName, environment] = (service ?? '').split('/').toReversed()
    const stack =
      stackName === undefined ? stackId : this.#model.stacks.find('name', `${accountId}/${stackName}`)?.id
    // One of another environment has no id here.
    const own = service !== undefined && environment === undefined
    const found = !own ? undefined : this.#model.services.find('name', `${stack}/${name}`)
    const instance =
      container === undefined
        ? undefined
        : this.#model.containers.where('project', accountId).find(each => each.name === container)
    return { serviceId: found?.id ?? null, instanceId: instance?.id ?? null }
  }
}

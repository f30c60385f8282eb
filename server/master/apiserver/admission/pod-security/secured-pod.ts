/** Of a pod, what the Pod Security Standards look at. */

export interface SecurityContext {
  readonly privileged?: boolean
  readonly allowPrivilegeEscalation?: boolean
  readonly runAsNonRoot?: boolean
  readonly runAsUser?: number
  readonly procMount?: string
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] }
  readonly seccompProfile?: { readonly type: string }
  readonly appArmorProfile?: { readonly type: string }
  readonly seLinuxOptions?: { readonly type?: string; readonly user?: string; readonly role?: string }
  readonly windowsOptions?: { readonly hostProcess?: boolean }
  readonly sysctls?: readonly { readonly name: string }[]
}

interface Handler {
  readonly httpGet?: { readonly host?: string }
  readonly tcpSocket?: { readonly host?: string }
}

export interface SecuredContainer {
  readonly name: string
  readonly ports?: readonly { readonly hostPort?: number }[]
  readonly securityContext?: SecurityContext
  readonly livenessProbe?: Handler
  readonly readinessProbe?: Handler
  readonly startupProbe?: Handler
  readonly lifecycle?: { readonly postStart?: Handler; readonly preStop?: Handler }
}

export interface SecuredPodSpec {
  readonly hostNetwork?: boolean
  readonly hostPID?: boolean
  readonly hostIPC?: boolean
  readonly hostUsers?: boolean
  readonly os?: { readonly name: string }
  readonly securityContext?: SecurityContext
  readonly containers?: readonly SecuredContainer[]
  readonly initContainers?: readonly SecuredContainer[]
  readonly ephemeralContainers?: readonly SecuredContainer[]
  readonly volumes?: readonly Readonly<Record<string, unknown>>[]
}

export interface SecuredPod {
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: SecuredPodSpec
}

/** Every container of a pod, also those that come first or later. */
export function containersOf({ containers, initContainers, ephemeralContainers }: SecuredPodSpec) {
  return [...(initContainers ?? []), ...(containers ?? []), ...(ephemeralContainers ?? [])]
}

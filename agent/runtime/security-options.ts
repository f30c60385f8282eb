/** Security contexts of pods and containers, in Docker's words. Pure. */
import type { HostConfig } from '#dockerode'
import type { Container, Pod } from '../../protocol/kubernetes/index.ts'
import { runtimeErrors } from './errors.ts'

type SecurityContext = NonNullable<Container['securityContext']>

/** What counts for a container: its own word, else its pod's. */
export function effectiveSecurity(pod: Pod, container: Container): SecurityContext {
  const { runAsUser, runAsGroup, runAsNonRoot, seccompProfile, appArmorProfile } =
    pod.spec.securityContext ?? {}
  return {
    ...(runAsUser === undefined ? {} : { runAsUser }),
    ...(runAsGroup === undefined ? {} : { runAsGroup }),
    ...(runAsNonRoot === undefined ? {} : { runAsNonRoot }),
    ...(seccompProfile === undefined ? {} : { seccompProfile }),
    ...(appArmorProfile === undefined ? {} : { appArmorProfile }),
    ...container.securityContext,
  }
}

/** @param imageUser the user that the image names; empty for root */
export function userOf({ runAsUser, runAsGroup }: SecurityContext, imageUser: string): { User?: string } {
  if (runAsUser === undefined) {
    // Docker knows no group without a user.
    return runAsGroup === undefined ? {} : { User: `${imageUser.split(':')[0] || '0'}:${runAsGroup}` }
  }
  return { User: runAsGroup === undefined ? String(runAsUser) : `${runAsUser}:${runAsGroup}` }
}

/**
 * Refuses to run as root what must not.
 *
 * @param imageUser the user that the image names; empty for root
 * @throws `InvalidPod`
 */
export function requireNonRoot(pod: Pod, container: Container, imageUser: string): void {
  const { runAsNonRoot, runAsUser } = effectiveSecurity(pod, container)
  if (runAsNonRoot !== true) return
  const [user = ''] = imageUser.split(':')
  const refuse = (message: string) =>
    runtimeErrors.InvalidPod({ object: `container ${container.name} of pod ${pod.metadata.name}`, message })
  if (runAsUser !== undefined) {
    if (runAsUser === 0) throw refuse("container's runAsUser breaks non-root policy")
    return
  }
  if (user === '' || user === '0' || user === 'root')
    throw refuse('container has runAsNonRoot and image will run as root')
  if (!/^\d+$/.test(user))
    throw refuse(
      `container has runAsNonRoot and image has non-numeric user (${user}), cannot verify user is non-root`,
    )
}

export function processNamespace({ spec }: Pod, sandboxId: string): { PidMode?: string } {
  if (spec.hostPID === true) return { PidMode: 'host' }
  return spec.shareProcessNamespace === true ? { PidMode: `container:${sandboxId}` } : {}
}

/** Parameters of the kernel for all of a pod: they belong to the namespaces of its sandbox. */
export function sysctlsOf({ spec }: Pod): { Sysctls?: Record<string, string> } {
  const { sysctls = [] } = spec.securityContext ?? {}
  if (sysctls.length === 0) return {}
  return { Sysctls: Object.fromEntries(sysctls.map(({ name, value }) => [name, value])) }
}

function optionsOf(
  { allowPrivilegeEscalation, privileged, seccompProfile, appArmorProfile }: SecurityContext,
  profile: string | undefined,
): string[] {
  const options = allowPrivilegeEscalation === false && privileged !== true ? ['no-new-privileges'] : []
  // Where nothing is said, Docker's own profiles hold: they are stricter than none.
  if (seccompProfile?.type === 'Unconfined') options.push('seccomp=unconfined')
  if (seccompProfile?.type === 'Localhost' && profile !== undefined) options.push(`seccomp=${profile}`)
  if (appArmorProfile?.type === 'Unconfined') options.push('apparmor=unconfined')
  if (appArmorProfile?.type === 'Localhost')
    options.push(`apparmor=${appArmorProfile.localhostProfile ?? ''}`)
  return options
}

/** @param profile content of the seccomp profile that the container names */
export function securityOptions(
  pod: Pod,
  security: SecurityContext,
  profile: string | undefined,
): Pick<HostConfig, 'Privileged' | 'ReadonlyRootfs' | 'CapAdd' | 'CapDrop' | 'GroupAdd' | 'SecurityOpt'> {
  const { fsGroup, supplementalGroups = [] } = pod.spec.securityContext ?? {}
  const groups = [...new Set([...(fsGroup === undefined ? [] : [fsGroup]), ...supplementalGroups])]
  const options = optionsOf(security, profile)
  return {
    Privileged: security.privileged === true,
    ReadonlyRootfs: security.readOnlyRootFilesystem === true,
    CapAdd: security.capabilities?.add ?? [],
    CapDrop: security.capabilities?.drop ?? [],
    ...(groups.length === 0 ? {} : { GroupAdd: groups.map(String) }),
    ...(options.length === 0 ? {} : { SecurityOpt: options }),
  }
}

import { defineErrors } from '../kit/index.ts'

/** What can go wrong when a container gets, has or loses its network. */
export const networkErrors = defineErrors({
  KernelRefused: { status: 500, message: 'the kernel refused the request' },
  KernelSilent: { status: 504, message: 'the kernel did not answer' },
  NamespaceMissing: { status: 404, message: 'does not exist', mend: 'check that the container is running' },
  RulesRefused: { status: 500, message: 'iptables refused the rules' },
  NamespaceRefused: { status: 500, message: 'cannot be entered' },
})

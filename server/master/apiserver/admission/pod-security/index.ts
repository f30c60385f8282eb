/** The Pod Security Standards. */
export { podSecurityLabelProblems, requirePodSecurity, warnOfTemplate } from './pod-security.ts'

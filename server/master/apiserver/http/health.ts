/** What `/livez`, `/readyz` and `/healthz` say (Kubernetes "API health endpoints"). A server that answers is well. */

/** An answer is all that it takes: strangers ask here, who must not learn of any cluster. */
const CHECKS: readonly string[] = ['ping']

/**
 * @param check the one that is asked for; undefined for all together
 * @param verbose whether each check is named
 * @returns undefined for a check that there is not
 */
export function healthText(
  endpoint: string,
  check: string | undefined,
  verbose: boolean,
): string | undefined {
  if (check !== undefined && !CHECKS.includes(check)) return undefined
  if (check !== undefined || !verbose) return 'ok'
  return `${CHECKS.map(name => `[+]${name} ok\n`).join('')}${endpoint} check passed\n`
}

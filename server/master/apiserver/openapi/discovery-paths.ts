/** Paths by which clients find out what there is. */
import type { GroupVersion } from '../catalog/index.ts'
import { apiGroupOperationId, groupVersionName, tagOf } from './operation-names.ts'
import { groupVersionPath, type Operation } from './paths.ts'

const JSON_MEDIA = ['application/json']

function reading(path: string, operationId: string, tag: string): Operation {
  return {
    ...{ path, method: 'get', operationId, tag, statuses: [200] },
    ...{ consumes: JSON_MEDIA, produces: JSON_MEDIA, parameters: [] },
  }
}

/** Of the server, whatever it serves. */
export function serverOperations(): Operation[] {
  return [
    reading('/.well-known/openid-configuration/', 'getServiceAccountIssuerOpenIDConfiguration', 'WellKnown'),
    reading('/api/', 'getCoreAPIVersions', 'core'),
    reading('/apis/', 'getAPIVersions', 'apis'),
    reading('/openid/v1/jwks/', 'getServiceAccountIssuerOpenIDKeyset', 'openid'),
    reading('/version/', 'getCodeVersion', 'version'),
  ]
}

/** Groups with a path of their own. */
export function groupsOf(groupVersions: readonly GroupVersion[]): string[] {
  return [...new Set(groupVersions.map(({ group }) => group))].filter(group => group !== '')
}

export function groupOperation(group: string): Operation {
  return reading(`/apis/${group}/`, apiGroupOperationId(group), tagOf(group))
}

/** Which resources a group version has. */
export function resourceListOperation({ group, version }: GroupVersion): Operation {
  return reading(
    `${groupVersionPath({ group, version })}/`,
    `get${groupVersionName(group, version)}APIResources`,
    tagOf(group, version),
  )
}

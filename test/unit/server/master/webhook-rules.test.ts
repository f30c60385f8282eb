/** Which requests the rules of webhooks mean. */
import t from 'tap'
import type { Resource } from '../../../../server/master/apiserver/catalog/index.ts'
import {
  chosenForm,
  type MatchedRequest,
  matchesRules,
} from '../../../../server/master/apiserver/webhooks/index.ts'

const RULE = { operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }

function request(special: Partial<MatchedRequest> = {}): MatchedRequest {
  const usual = { operation: 'CREATE', group: '', version: 'v1', resource: 'pods', subresource: '' } as const
  return { ...usual, namespace: 'default', ...special }
}

t.test('rules', async t => {
  const cases: [rule: object, special: Partial<MatchedRequest>, matches: boolean][] = [
    [{}, {}, true],
    [{ operations: ['UPDATE', 'DELETE'] }, {}, false],
    [{ operations: ['UPDATE', 'CREATE'] }, {}, true],
    [{ operations: [] }, {}, false],
    [{ apiGroups: ['apps'] }, {}, false],
    [{ apiGroups: ['apps', ''] }, {}, true],
    [{ apiVersions: ['v2'] }, {}, false],
    [{ resources: ['*'] }, { subresource: 'status' }, false],
    [{ resources: ['*/*'] }, { subresource: 'status' }, true],
    [{ resources: ['*/*'] }, {}, true],
    [{ resources: ['pods'] }, { subresource: 'status' }, false],
    [{ resources: ['pods/status'] }, { subresource: 'status' }, true],
    [{ resources: ['pods/status'] }, {}, false],
    [{ resources: ['pods/*'] }, {}, true],
    [{ resources: ['*/scale'] }, { subresource: 'scale' }, true],
    [{ resources: ['services', 'pods'] }, {}, true],
    [{ scope: 'Cluster' }, {}, false],
    [{ scope: 'Namespaced' }, {}, true],
    [{ scope: 'Namespaced' }, { resource: 'nodes', namespace: '' }, false],
    [{ scope: 'Cluster' }, { resource: 'nodes', namespace: '' }, true],
    [{ scope: 'Cluster' }, { resource: 'namespaces' }, true],
    [{ scope: 'Namespaced' }, { resource: 'namespaces' }, false],
  ]
  for (const [rule, special, matches] of cases) {
    t.equal(
      matchesRules([{ ...RULE, ...rule }], request(special)),
      matches,
      `${JSON.stringify(rule)} ${JSON.stringify(special)}`,
    )
  }
  t.notOk(matchesRules(undefined, request()))
  t.ok(matchesRules([{ ...RULE, operations: ['DELETE'] }, RULE], request()), 'one of several is enough')
})

t.test('the form that a webhook wants', async t => {
  const form = (version: string) => ({ group: 'apps', version, resource: 'webs' }) as Resource
  const forms = [form('v1'), form('v2'), form('v3')]
  const chosen = (versions: string[], matchPolicy: string) =>
    chosenForm({ rules: [{ ...RULE, apiVersions: versions }], matchPolicy }, request(), forms)?.version
  t.equal(chosen(['v3', 'v1'], 'Equivalent'), 'v1', 'as it was asked, where that is wanted')
  t.equal(chosen(['v3', 'v2'], 'Equivalent'), 'v2')
  t.equal(chosen(['v4'], 'Equivalent'), undefined)
  t.equal(chosen(['v2'], 'Exact'), undefined)
  t.equal(chosen(['v1'], 'Exact'), 'v1')
})

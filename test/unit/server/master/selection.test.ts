/** Label and field selectors. */
import fc from 'fast-check'
import t from 'tap'
import {
  matchesLabels,
  parseLabelSelector,
  Selection,
} from '../../../../server/master/apiserver/selection/index.ts'
import { StatusError } from '../../../../server/master/apiserver/status.ts'
import type { StoredObject } from '../../../../server/store/index.ts'

t.test('label selectors', async t => {
  const labels = { app: 'web', tier: 'front', empty: '', 'example.com/x': '1' }
  const matching = [
    '',
    'app',
    'app=web',
    'app==web',
    'app != api',
    'missing!=x',
    '!missing',
    'app in (web, api)',
    'app in (web)',
    'tier notin (back,middle)',
    'missing notin (x)',
    'empty=',
    'empty in ()',
    'example.com/x=1',
    'app=web,tier=front,!missing',
    ' app = web , tier ',
  ]
  for (const text of matching) t.ok(matchesLabels(labels, parseLabelSelector(text)), text)
  const others = [
    'missing',
    '!app',
    'app=api',
    'app!=web',
    'app in (api,db)',
    'app notin (web)',
    'app=web,tier=back',
  ]
  for (const text of others) t.notOk(matchesLabels(labels, parseLabelSelector(text)), text)
  const wrong = [
    '=a',
    'a=b=c',
    'a in b',
    'a in (b',
    'a,,b',
    'a,',
    'a b',
    '!',
    '-a',
    'a=-b',
    'a@b',
    '(a)',
    'a in (b c)',
    `${'x'.repeat(64)}=1`,
  ]
  for (const text of wrong) t.throws(() => parseLabelSelector(text), { code: 'BadRequest' }, text)
  t.notOk(matchesLabels({}, parseLabelSelector('constructor')), 'names of the prototype are no labels')
})

t.test('any text is read or refused', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z!=,() in]*$/), text => {
      try {
        parseLabelSelector(text)
      } catch (error) {
        return error instanceof StatusError && error.reason === 'BadRequest'
      }
      return true
    }),
    { numRuns: 2000 },
  )
})

t.test('field selectors', async t => {
  const stored: StoredObject = {
    key: { kind: 'pods', namespace: 'default', name: 'a,b' },
    revision: 1,
    createdRevision: 1,
    json: '',
  }
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a,b', labels: { app: 'web' } },
    phase: 'Running',
  }
  const selectable = new Map([
    ['status.phase', (value: { readonly [field: string]: unknown }) => String(value.phase)],
  ])
  const select = (fieldSelector: string, labelSelector?: string) =>
    new Selection({ fieldSelector, labelSelector }, selectable)
  const matches = (selection: Selection) => selection.matches(stored, () => object)
  t.ok(matches(select('metadata.name=a\\,b')))
  t.ok(matches(select('metadata.name==a\\,b,metadata.namespace=default')))
  t.ok(matches(select('status.phase!=Pending')))
  t.ok(matches(select('status.phase=Running', 'app=web')))
  t.notOk(matches(select('status.phase=Running', 'app=api')))
  t.notOk(matches(select('metadata.name=a')))
  t.equal(select('status.phase=Running').requiredValue('status.phase'), 'Running')
  t.equal(select('status.phase!=Running').requiredValue('status.phase'), undefined)
  t.ok(select('').everything)
  for (const text of ['spec.other=1', 'metadata.name', 'metadata.name=a\\b', '=x', '!=x']) {
    t.throws(() => select(text), { code: 'BadRequest' }, text)
  }
})

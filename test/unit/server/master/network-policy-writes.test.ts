/** What network policies may say of peers. */
import t from 'tap'
import { temporaryMaster } from './temporary-master.ts'

t.test('whom network policies name', async t => {
  const { ask } = await temporaryMaster(t)
  const create = (name: string, ...from: object[]) =>
    ask('/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', {
      method: 'POST',
      body: {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name },
        spec: { podSelector: {}, ingress: [{ from }] },
      },
    })
  const block = (cidr: string, ...except: string[]) => ({ ipBlock: { cidr, except } })
  const good = [
    block('10.0.0.0/8', '10.1.0.0/16'),
    block('10.0.0.5/8'),
    block('fd42::/96', 'fd42::a2a:0/112', 'fd42::1/128'),
    block('::/0', '::/1'),
    { podSelector: {}, namespaceSelector: {} },
  ]
  t.equal((await create('good', ...good)).status, 201)
  const at = 'spec\\.ingress\\[0\\]\\.from\\[0\\]'
  const refused: readonly [peer: object, message: string][] = [
    [block('fd42::/129'), `${at}\\.ipBlock\\.cidr: Invalid value: "fd42::/129": must be a valid CIDR value`],
    [block('10.0.0.0'), `${at}\\.ipBlock\\.cidr: Invalid value`],
    [block(''), `${at}\\.ipBlock\\.cidr: Required value`],
    [
      block('fd42::/96', 'x'),
      `${at}\\.ipBlock\\.except\\[0\\]: Invalid value: "x": must be a valid CIDR value`,
    ],
    [block('fd42::/96', 'fd42::/96'), `${at}\\.ipBlock\\.except\\[0\\].*must be a strict subset of \`cidr\``],
    [block('fd42::/96', 'fd43::/112'), 'must be a strict subset'],
    [block('::/0', '10.0.0.0/8'), 'must be a strict subset'],
    [{}, `${at}: Required value: must specify a peer`],
    [
      { ...block('::/0'), podSelector: {} },
      `${at}: Forbidden: may not specify both ipBlock and another peer`,
    ],
  ]
  for (const [peer, message] of refused) {
    t.match(await create('refused', peer), { status: 422, body: { message: new RegExp(message) } }, message)
  }
})

/** A cluster that left memory is there for kubectl as if nothing had been. */
import t from 'tap'
import { eventually } from '../../unit/server/master/temporary-master.ts'
import { MasterUnderTest, missingKubectl } from './kubectl.ts'

const skip = await missingKubectl()

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
          },
        },
      },
    ],
  },
}

t.test('a suspended cluster', { skip, timeout: 120_000 }, async t => {
  const master = await MasterUnderTest.start(t, { suspendAfter: 500 })
  const asleep = () => eventually(async () => master.master.clusterCounts.asleep === 1, 'it sleeps', 30_000)
  await master.ok('create', '-f', await master.writeManifest('definition.yaml', definition))
  await master.ok('wait', '--for=condition=Established', 'crd/widgets.example.com', '--timeout=20s')
  const widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' }, spec: { size: 3 } }
  await master.ok('create', '-f', await master.writeManifest('widget.yaml', widget))
  const token = (await master.ok('create', 'token', 'default')).trim()
  await master.writeConfig('robot', { token })
  await asleep()
  t.match(await master.ok('get', 'widget', 'w', '-o', 'jsonpath={.spec.size}'), /^3$/)
  await asleep()
  t.match(
    (await master.run(['auth', 'whoami'], { config: 'robot' })).stdout,
    /system:serviceaccount:default:default/,
  )
  await asleep()
  await master.ok('create', 'deployment', 'web', '--image=web:1')
  await eventually(
    async () => /web-/.test(await master.ok('get', 'pods', '-o', 'name')),
    'its pod is made',
    20_000,
  )
  await asleep()
  const watch = master.follow(t, ['get', 'widgets', '-w', '--no-headers', '-o', 'name'])
  t.match(await watch.nextLine(), /widget\.example\.com\/w/)
  await new Promise(resolve => setTimeout(resolve, 1500))
  t.equal(master.master.clusterCounts.awake, 1, 'who watches keeps it awake')
  await master.ok('label', 'widget', 'w', 'a=b')
  t.match(await watch.nextLine(), /widget\.example\.com\/w/)
  await watch.stop()
  await asleep()
  await master.stop()
  await master.resume()
  t.match(await master.ok('get', 'widgets'), /^NAME/)
})

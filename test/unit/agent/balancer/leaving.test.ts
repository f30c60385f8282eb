import t from 'tap'
import { busyContainers, leavingContainers } from '../../../../agent/balancer/leaving.ts'
import { parseStatistics, type Slots } from '../../../../lb/index.ts'
import { backend, endpoint, model } from '../../lb/models.ts'

const slots: Slots = [
  { ...endpoint('a/1/80', 80), draining: true },
  endpoint('b/1/80', 80),
  undefined,
  { ...endpoint('c/2/80', 80), draining: true },
]
const other: Slots = [{ ...endpoint('a/1/81', 81), draining: true }]
const balancer = model({ backends: [backend('web', slots), backend('api', other)] })
const rows = (text: string) => parseStatistics(`# pxname,svname,qcur,scur,\n${text}`)

t.test('containers that get no new clients', async t => {
  t.strictSame([...leavingContainers(balancer)], ['a', 'c'])
  t.strictSame([...leavingContainers(undefined)], [])
})

t.test('are busy while one of their servers has a session or one waits for it', async t => {
  const none = rows('web,s1,0,0,\nweb,s2,0,9,\nweb,s4,0,0,\napi,s1,0,0,\n')
  t.strictSame(Object.fromEntries(busyContainers(balancer, none)), { a: false, c: false })
  const some = rows('web,s1,0,0,\nweb,s4,1,0,\napi,s1,0,2,\n')
  t.strictSame(Object.fromEntries(busyContainers(balancer, some)), { a: true, c: true })
})

t.test('may be busy when HAProxy says nothing of them', async t => {
  t.strictSame(Object.fromEntries(busyContainers(balancer, rows('web,s1,0,0,\n'))), { a: true, c: true })
})

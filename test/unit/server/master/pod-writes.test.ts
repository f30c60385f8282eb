/** What may be written about pods, over HTTP. */
import t from 'tap'
import { pod, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'

t.test('pods', async t => {
  const { ask } = await temporaryMaster(t)
  const create = (body: unknown) => ask(PODS, { method: 'POST', body })

  t.test('what a specification must fulfil', async t => {
    const container = (more: object) => ({ containers: [{ name: 'a', image: 'x', ...more }] })
    const cases: [object, RegExp][] = [
      [{ containers: [] }, /spec\.containers: Required value/],
      [{ containers: [{ name: 'A', image: 'x' }] }, /containers\[0\]\.name: Invalid value/],
      [{ containers: [{ name: 'a' }] }, /containers\[0\]\.image: Required value/],
      [
        {
          containers: [
            { name: 'a', image: 'x' },
            { name: 'a', image: 'x' },
          ],
        },
        /Duplicate value: "a"/,
      ],
      [container({ ports: [{ containerPort: 0 }] }), /must be between 1 and 65535/],
      [container({ ports: [{ containerPort: 80, protocol: 'ICMP' }] }), /Unsupported value: "ICMP"/],
      [container({ ports: [{ containerPort: 80, name: 'NO' }] }), /ports\[0\]\.name/],
      [
        container({
          ports: [
            { containerPort: 80, hostPort: 1 },
            { containerPort: 81, hostPort: 1 },
          ],
        }),
        /spec\.containers\[0\]\.ports\[1\]\.hostPort: Duplicate value: "TCP\/\/1"/,
      ],
      [
        {
          containers: ['a', 'b'].map(name => ({
            ...{ name, image: 'x' },
            ports: [{ containerPort: 80, hostPort: 1, hostIP: '192.0.2.1', protocol: 'UDP' }],
          })),
        },
        /spec\.containers\[1\]\.ports\[0\]\.hostPort: Duplicate value: "UDP\/192\.0\.2\.1\/1"/,
      ],
      [
        {
          ...container({}),
          initContainers: [
            {
              ...{ name: 'i', image: 'x' },
              ports: [
                { containerPort: 80, hostPort: 1 },
                { containerPort: 80, hostPort: 1 },
              ],
            },
          ],
        },
        /spec\.initContainers\[0\]\.ports\[1\]\.hostPort: Duplicate value: "TCP\/\/1"/,
      ],
      [container({ env: [{ name: 'a=b' }] }), /environment variable name/],
      [container({ volumeMounts: [{ name: 'v', mountPath: '/x' }] }), /Not found: "v"/],
      [
        container({ resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }),
        /less than or equal to cpu limit of 1/,
      ],
      [container({ resources: { requests: { memory: '-1' } } }), /greater than or equal to 0/],
      [container({ imagePullPolicy: 'Sometimes' }), /Unsupported value: "Sometimes"/],
      [{ ...container({}), restartPolicy: 'x' }, /restartPolicy/],
      [{ ...container({}), terminationGracePeriodSeconds: -1 }, /terminationGracePeriodSeconds/],
      [{ ...container({}), nodeSelector: { 'a b': '' } }, /nodeSelector/],
      [
        { ...container({}), tolerations: [{ operator: 'Equal' }] },
        /operator must be Exists when `key` is empty/,
      ],
      [{ ...container({}), volumes: [{ name: 'v' }, { name: 'v' }] }, /Duplicate value: "v"/],
      [
        { ...container({}), volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/' } }] },
        /more than 1 volume type/,
      ],
    ]
    for (const [spec, message] of cases) {
      t.match(
        await create(pod('p', spec)),
        { status: 422, body: { reason: 'Invalid', message } },
        String(message),
      )
    }
  })

  t.test('what may change', async t => {
    const made = (await create(pod('fixed', { tolerations: [{ key: 'a', operator: 'Exists' }] }))).body
    const put = (change: (spec: typeof made.spec) => void) => {
      const body = structuredClone(made)
      delete body.metadata.resourceVersion
      change(body.spec)
      return ask(`${PODS}/fixed`, { method: 'PUT', body })
    }
    t.match(await put(spec => Object.assign(spec.containers[0], { image: 'busybox:2' })), {
      status: 200,
      body: { metadata: { generation: 2 } },
    })
    t.match(await put(spec => Object.assign(spec, { activeDeadlineSeconds: 10 })), { status: 200 })
    t.match(await put(() => undefined), { status: 422, body: { message: /activeDeadlineSeconds/ } })
    made.spec.activeDeadlineSeconds = 10
    t.match(await put(spec => spec.tolerations.push({ key: 'b', operator: 'Exists' })), { status: 200 })
    t.match(await put(spec => Object.assign(spec, { tolerations: [] })), { status: 422 })
    t.match(await put(spec => Object.assign(spec, { restartPolicy: 'Never' })), {
      status: 422,
      body: { message: /pod updates may not change fields other than/ },
    })
    t.match(await put(spec => spec.containers.push({ name: 'b', image: 'x' })), {
      status: 422,
      body: { message: /may not add or remove containers/ },
    })
  })

  t.test('quality of service', async t => {
    const qos = async (resources: object) =>
      (
        await create(
          pod(`q${Math.random().toString(36).slice(2)}`, {
            containers: [{ name: 'a', image: 'x', resources }],
          }),
        )
      ).body.status.qosClass
    t.equal(await qos({}), 'BestEffort')
    t.equal(await qos({ requests: { cpu: '1' } }), 'Burstable')
    t.equal(await qos({ limits: { cpu: '1', memory: '1Gi' } }), 'Guaranteed')
    t.equal(await qos({ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }), 'Burstable')
  })

  t.test('binding', async t => {
    await create(pod('free', { schedulerName: 'nobody' }))
    const bind = (target: object) =>
      ask(`${PODS}/free/binding`, { method: 'POST', body: { metadata: { name: 'free' }, target } })
    t.match(await bind({ kind: 'Node' }), { status: 422 })
    t.match(await bind({ kind: 'Planet', name: 'x' }), { status: 422 })
    t.match(await bind({ kind: 'Node', name: 'n1' }), { status: 201, body: { status: 'Success' } })
    t.match(await bind({ kind: 'Node', name: 'n2' }), {
      status: 409,
      body: { message: /already assigned to node "n1"/ },
    })
    t.match((await ask(`${PODS}/free`)).body, {
      spec: { nodeName: 'n1' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    })
    t.match(await ask(`${PODS}/free/exec?command=ls`), {
      status: 400,
      body: { message: 'Upgrade request required' },
    })
  })
})

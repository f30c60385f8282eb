import t from 'tap'
import { acceptFields, type Fields } from '../../../../server/api/fields.ts'
import { parseLaunchConfig, showLaunchConfig } from '../../../../server/api/launch-config.ts'
import { parseListQuery, passes, sorted } from '../../../../server/api/list-query.ts'

const fields: Fields = {
  name: {
    type: 'string',
    create: true,
    update: true,
    required: true,
    minLength: 2,
    maxLength: 5,
    pattern: /^[a-z]+$/,
  },
  scale: { type: 'int', create: true, min: 0, max: 10, default: 1 },
  kind: { type: 'enum', create: true, options: ['a', 'b'] },
  labels: { type: 'map[string]', create: true },
  list: { type: 'array[int]', create: true },
  shown: { type: 'string' },
}

t.test('only fields that may be set are taken, checked', async t => {
  t.strictSame(acceptFields(fields, { name: 'web', shown: 'no', other: 1, labels: { a: 'b' } }, 'create'), {
    name: 'web',
    scale: 1,
    labels: { a: 'b' },
  })
  t.strictSame(acceptFields(fields, { scale: 3 }, 'update'), {}, 'scale cannot be changed')
  const cases = [
    [{}, 'MissingRequired'],
    [{ name: null }, 'NotNullable'],
    [{ name: 'x' }, 'MinLengthExceeded'],
    [{ name: 'abcdef' }, 'MaxLengthExceeded'],
    [{ name: 'AB' }, 'InvalidCharacters'],
    [{ name: 3 }, 'InvalidFormat'],
    [{ name: 'web', scale: 11 }, 'MaxLimitExceeded'],
    [{ name: 'web', scale: -1 }, 'MinLimitExceeded'],
    [{ name: 'web', scale: 1.5 }, 'InvalidFormat'],
    [{ name: 'web', kind: 'c' }, 'InvalidOption'],
    [{ name: 'web', labels: { a: 1 } }, 'InvalidFormat'],
    [{ name: 'web', list: [1, 'b'] }, 'InvalidFormat'],
    [[], 'InvalidBodyContent'],
    [undefined, 'InvalidBodyContent'],
    ['text', 'InvalidBodyContent'],
  ] as const
  for (const [body, code] of cases)
    t.throws(() => acceptFields(fields, body, 'create'), { code }, JSON.stringify(body))
})

t.test('filters', async t => {
  const query = (text: string) => parseListQuery(new URLSearchParams(text), fields).filters
  const web = { name: 'web', scale: 3, kind: null }
  const cases = [
    ['name=web', true],
    ['name=db', false],
    ['name=db&name=web', true],
    ['name_ne=db', true],
    ['name_ne=db&name_ne=web', false],
    ['name_prefix=w', true],
    ['name_like=%25e_', true],
    ['name_like=w.b', false],
    ['name_notlike=d%25', true],
    ['scale_gt=2', true],
    ['scale_gte=4', false],
    ['scale_lt=10', true],
    ['kind_null', true],
    ['kind_notnull', false],
    ['kind_ne=a', true],
    ['name=web&scale=4', false],
  ] as const
  for (const [text, expected] of cases) t.equal(passes(web, query(text)), expected, text)
  t.throws(() => query('nothing=1'), { code: 'InvalidOption' })
  t.throws(() => parseListQuery(new URLSearchParams('marker=x'), fields), { code: 'InvalidFormat' })
  t.throws(() => parseListQuery(new URLSearchParams('limit=x'), fields), { code: 'InvalidFormat' })
  t.throws(() => parseListQuery(new URLSearchParams('sort=x'), fields), { code: 'InvalidOption' })
  t.equal(parseListQuery(new URLSearchParams('limit=0'), fields).limit, 3000)
})

t.test('order', async t => {
  const all = [
    { n: 'b', i: 10 },
    { n: 'a', i: 9 },
    { n: 'c', i: 9 },
  ]
  t.strictSame(
    sorted(all, { sort: 'i', order: 'asc' }).map(({ n }) => n),
    ['a', 'c', 'b'],
    'numbers as numbers, stable',
  )
  t.strictSame(
    sorted(all, { sort: 'n', order: 'desc' }).map(({ n }) => n),
    ['c', 'b', 'a'],
  )
})

t.test('launch configs of the API', async t => {
  const config = parseLaunchConfig(
    {
      imageUuid: 'docker:a:1',
      ports: ['80:8080', '127.0.0.1:53:53/udp'],
      dataVolumes: ['/a:/b:ro'],
      restartPolicy: { name: 'on-failure' },
      tty: null,
    },
    'web',
    'launchConfig',
  )
  t.match(config, {
    name: 'web',
    image: 'a:1',
    restart: 'on-failure',
    tty: false,
    ports: [
      { publicPort: 80, privatePort: 8080, protocol: 'tcp' },
      { address: '127.0.0.1', protocol: 'udp' },
    ],
    binds: [{ hostPath: '/a', containerPath: '/b', readOnly: true }],
  })
  const shown = showLaunchConfig(config)
  t.match(shown, {
    imageUuid: 'docker:a:1',
    ports: ['80:8080/tcp', '127.0.0.1:53:53/udp'],
    dataVolumes: ['/a:/b:ro'],
  })
  const { type: _type, restart: _restart, binds: _binds, ...again } = shown
  t.strictSame(parseLaunchConfig(again, 'web', 'launchConfig'), config, 'what is shown can be sent back')
  t.throws(() => parseLaunchConfig({}, 'w', 'f'), { code: 'MissingRequired' })
  t.throws(() => parseLaunchConfig({ image: 'a', ports: ['x'] }, 'w', 'f'), { code: 'PortWrongFormat' })
  t.throws(() => parseLaunchConfig({ image: 'a', nonsense: 1 }, 'w', 'f'), { code: 'InvalidFormat' })
})

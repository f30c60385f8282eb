/** Paths, who asks for them, and the text that is the answer. */
import { FROM, production } from './http-world.ts'

export interface Case {
  readonly path: string
  readonly from?: string
  readonly expect: string
}

const lines = (...list: string[]) => list.map(line => `${line}\n`).join('')

export const textCases: readonly Case[] = [
  { path: '/', expect: lines('2015-07-25', '2015-12-19', '2016-07-29', 'latest') },
  {
    path: '/latest',
    expect: lines(
      ...['containers/', 'environment/', 'external_id', 'hosts/', 'name', 'networks/', 'self/', 'services/'],
      ...['stacks/', 'system', 'uuid', 'version'],
    ),
  },
  {
    path: '/latest/',
    expect: lines(
      ...['containers/', 'environment/', 'external_id', 'hosts/', 'name', 'networks/', 'self/', 'services/'],
      ...['stacks/', 'system', 'uuid', 'version'],
    ),
  },
  { path: '/latest/name', expect: 'Production' },
  { path: '/latest/environment/name', expect: 'Production' },
  { path: '/latest/system', expect: 'false' },
  // Self
  {
    path: '/latest/self',
    expect: lines('container/', 'environment/', 'host/', 'network/', 'service/', 'stack/'),
  },
  { path: '/latest/self/container/name', expect: 'shop-web-1' },
  { path: '/2015-12-19/self/container/name', expect: 'Shop-Web-1' },
  { path: '/latest/self/container/primary_ip', expect: FROM.web },
  { path: '/latest/self/container/ips', expect: '0\n' },
  { path: '/latest/self/container/ips/0', expect: FROM.web },
  { path: '/latest/containers/shop-web-2/ips/0', expect: '10.42.1.12' },
  { path: '/latest/containers/shop-web-2/ips/1', expect: 'fd42::a2a:10c' },
  { path: '/latest/containers/shop-web-2/primary_ip', expect: '10.42.1.12' },
  { path: '/latest/self/container/service_index', expect: '1' },
  { path: '/latest/self/container/create_index', expect: '1' },
  { path: '/latest/self/container/health_state', expect: '' },
  { path: '/latest/self/container/labels', expect: lines('constructor', 'tier') },
  { path: '/latest/self/container/labels/constructor', expect: 'of houses' },
  { path: '/latest/self/container/service_name', expect: 'web' },
  { path: '/latest/self/container/stack_name', expect: 'shop' },
  { path: '/2015-12-19/self/container/stack_name', expect: 'Shop' },
  { path: '/latest/self/container/environment_name', expect: 'Production' },
  { path: '/latest/self/container/ports/0', expect: '0.0.0.0:80:8080/tcp' },
  { path: '/latest/self/container/ports/1', expect: '198.51.100.1:53:53/udp' },
  { path: '/2015-12-19/self/container/ports/0', expect: '192.0.2.1:80:8080/tcp' },
  { path: '/2015-07-25/self/container/ports/0', expect: '192.0.2.1:80:8080/tcp' },
  { path: '/latest/self/service/name', expect: 'web' },
  { path: '/latest/self/service/scale', expect: '2' },
  { path: '/latest/self/service/token', expect: 'token-of-Shop-Web' },
  { path: '/latest/self/service/sidekicks/0', expect: 'logger' },
  { path: '/2015-12-19/self/service/sidekicks/0', expect: 'Logger' },
  { path: '/latest/self/service/metadata', expect: lines('a+key%2Fwith+space', 'colour/') },
  { path: '/latest/self/service/metadata/a+key%2Fwith+space', expect: 'true' },
  { path: '/latest/self/service/metadata/colour/levels', expect: lines('0', '1', '2') },
  { path: '/latest/self/service/metadata/colour/levels/1', expect: '2.5' },
  { path: '/latest/self/service/links', expect: lines('database', 'far', 'gone') },
  { path: '/latest/self/service/links/database', expect: 'service-stack-production-data-db' },
  { path: '/latest/self/service/links/gone', expect: '' },
  { path: '/latest/self/service/links/far', expect: 'service-stack-testing-shop-web' },
  { path: '/2015-12-19/self/service/links/Database', expect: 'service-stack-production-data-db' },
  { path: '/latest/self/service/containers', expect: lines('0=shop-web-1', '1=shop-web-2') },
  { path: '/latest/self/service/containers/1/primary_ip', expect: '10.42.1.12' },
  { path: '/latest/self/stack/name', expect: 'shop' },
  { path: '/latest/self/stack/services', expect: lines('0=web') },
  { path: '/latest/self/host/agent_ip', expect: '192.0.2.1' },
  { path: '/latest/self/host/labels/rack', expect: 'r1' },
  { path: '/2015-12-19/self/host/hostId', expect: '1h4' },
  { path: '/latest/self/network/name', expect: 'managed' },
  { path: '/latest/self/environment/uuid', expect: production.uuid },
  // Lists: in order of creation, by index, name (in any case) and uuid
  {
    path: '/latest/containers',
    expect: lines(
      ...[
        '0=shop-web-1',
        '1=shop-web-2',
        '2=shop-web-logger-1',
        '3=data-db-1',
        '4=by-hand',
        '5=sharing',
        '6=on-host',
      ],
    ),
  },
  {
    path: '/2015-12-19/containers',
    expect: lines(
      ...[
        '0=Shop-Web-1',
        '1=Shop-Web-2',
        '2=Shop-Web-Logger-1',
        '3=data-db-1',
        '4=by-hand',
        '5=sharing',
        '6=on-host',
      ],
    ),
  },
  { path: '/latest/containers/1/name', expect: 'shop-web-2' },
  { path: '/latest/containers/SHOP-web-2/name', expect: 'shop-web-2' },
  { path: '/latest/containers/container-shop-web-2/name', expect: 'shop-web-2' },
  { path: '/latest/containers/sharing/primary_ip', expect: FROM.native },
  { path: '/latest/containers/on-host/primary_ip', expect: '' },
  { path: '/latest/containers/on-host/service_name', expect: '' },
  { path: '/latest/services', expect: lines('0=db', '1=web') },
  { path: '/latest/services/Web/kind', expect: 'service' },
  { path: '/latest/services/web/token', expect: '' },
  { path: '/latest/services/web/containers/shop-web-1/primary_ip', expect: FROM.web },
  { path: '/2015-07-25/services/web/containers', expect: lines('0', '1') },
  { path: '/2015-07-25/services/web/containers/0', expect: 'Shop-Web-1' },
  { path: '/latest/stacks', expect: lines('0=shop', '1=data') },
  { path: '/latest/stacks/data/services/db/containers/0/name', expect: 'data-db-1' },
  { path: '/latest/stacks/shop/services/web/token', expect: '' },
  { path: '/latest/self/stack/services/web/token', expect: '' },
  { path: '/2015-07-25/stacks/data/services/0', expect: 'db' },
  { path: '/latest/hosts', expect: lines('0=node1', '1=node2') },
  { path: '/latest/networks/0/is_default', expect: 'true' },
  // Others of the same environment; who has no service sees none
  { path: '/latest/self/container/name', from: FROM.db, expect: 'data-db-1' },
  {
    path: '/latest/self',
    from: FROM.native,
    expect: lines('container/', 'environment/', 'host/', 'network/'),
  },
  { path: '/latest/self/container/name', from: FROM.native, expect: 'by-hand' },
  // Another environment
  { path: '/latest/name', from: FROM.testing, expect: 'Testing' },
  { path: '/latest/containers', from: FROM.testing, expect: lines('0=shop-web-1', '1=elsewhere') },
  { path: '/latest/containers/0/uuid', from: FROM.testing, expect: 'container-testing-1' },
  { path: '/latest/services', from: FROM.testing, expect: lines('0=web') },
  { path: '/latest/self/service/token', from: FROM.testing, expect: 'token-of-shop-web' },
  // The host sees all of it, and no token
  { path: '/latest/name', from: FROM.host, expect: 'System' },
  { path: '/latest/self', from: FROM.host, expect: lines('host/') },
  { path: '/latest/self/host/name', from: FROM.host, expect: 'node1' },
  { path: '/latest/services', from: FROM.host, expect: lines('0=db', '1=web', '2=web') },
  { path: '/latest/services/2/token', from: FROM.host, expect: '' },
]

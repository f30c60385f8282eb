/** The settings of our own charon (strongswan.conf(5)): nothing of the host's is read. */
import path from 'node:path'
import type { Backend, IpsecTimings } from './connection.ts'

/** Where charon puts routes to peers' blocks, which nobody else should be using; it belongs to nobody in rt_tables. */
export const CHARON_TABLE = 142

/** Priority of the rule by which that table is asked. */
export const CHARON_RULE_PRIORITY = 142

/** Each pause between repetitions is so much longer than the one before. */
const RETRANSMIT_BASE = 1.6

/** A `!` makes charon end when it lacks one. The first that can do something does it: aesni is fastest where there is one. */
const PLUGINS = [
  ...['random', 'nonce!', 'aesni', 'openssl!', 'aes', 'sha1', 'sha2', 'hmac', 'kdf', 'gcm', 'drbg'],
  ...['pem', 'pkcs1', 'pkcs8', 'pubkey', 'x509'],
]

export interface CharonFiles {
  readonly directory: string
  readonly settings: string
  /** The control socket. */
  readonly socket: string
  readonly log: string
  readonly processRecord: string
}

export function charonFiles(directory: string): CharonFiles {
  return {
    directory,
    settings: path.join(directory, 'strongswan.conf'),
    socket: path.join(directory, 'vici'),
    log: path.join(directory, 'charon.log'),
    processRecord: path.join(directory, 'charon.pid'),
  }
}

/** A value between quotes: a path may hold spaces and `#`. */
function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** The text of strongswan.conf. */
export function charonSettings(files: CharonFiles, backend: Backend, timings: IpsecTimings): string {
  const plugins = [
    ...PLUGINS,
    // Beside kernel-libipsec it only looks at links and sets routes, and one of its parts stays unused.
    ...(backend === 'userspace' ? ['kernel-libipsec!', 'kernel-netlink'] : ['kernel-netlink!']),
    ...['socket-default!', 'vici!'],
  ]
  return `charon {
  load = ${plugins.join(' ')}
  # A new association is made beside the old one, which goes on carrying until the new one does.
  reuse_ikesa = no
  # Blocks are led to the tunnel by routes that stay, so that nothing takes another way while there is no association.
  install_routes = no
  routing_table = ${CHARON_TABLE}
  routing_table_prio = ${CHARON_RULE_PRIORITY}
  install_virtual_ip = no
  retransmit_timeout = ${timings.retransmitDelay / 1000}
  retransmit_tries = ${timings.retransmissions}
  retransmit_base = ${RETRANSMIT_BASE}
  # Many hosts of a cluster may be behind one address.
  block_threshold = 100
  cookie_threshold_ip = 30
  half_open_timeout = 30
  filelog {
    file {
      path = ${quoted(files.log)}
      default = 0
      # Why it does not start.
      dmn = 1
      lib = 1
      time_format = %Y-%m-%dT%H:%M:%S
      ike_name = yes
    }
  }
  syslog {
    daemon {
      default = -1
    }
    auth {
      default = -1
    }
  }
  plugins {
    vici {
      socket = ${quoted(`unix://${files.socket}`)}
    }
    kernel-netlink {
      # Addresses of bridges come and go with containers; the host's own is known.
      roam_events = no
    }
    kernel-libipsec {
      allow_peer_ts = no
    }
  }
}
`
}

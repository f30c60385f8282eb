/** Lines of `global` and `defaults` that go well with what is generated. A user's lines may take their place. */

/**
 * Of each start and reload, three quarters go into reading the system's authorities for an HTTP client that only scripts
 * (`lua-load`) use.
 */
export const NO_HTTP_CLIENT = 'httpclient.ssl.verify none'

export const DEFAULT_GLOBAL: readonly string[] = [
  NO_HTTP_CLIENT,
  'maxconn 4096',
  'maxpipes 1024',
  'hard-stop-after 1h',
  'ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets',
  'ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305',
  'tune.ssl.default-dh-param 2048',
]

export const DEFAULT_DEFAULTS: readonly string[] = [
  'option redispatch',
  'option http-keep-alive',
  'option forwardfor',
  'option dontlognull',
  // A worker that ends waits for the next request of an idle client instead of closing in its face.
  'option idle-close-on-response',
  'retries 3',
  'maxconn 4096',
  'timeout connect 5s',
  'timeout client 50s',
  'timeout server 50s',
  'timeout http-request 10s',
  'timeout tunnel 1h',
]

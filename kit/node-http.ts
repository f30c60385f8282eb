/**
 * Functions of `node:http`. Importing that module by name makes Node.js read all of its exports, `WebSocket` among them,
 * which loads a second HTTP client: 15 MB in every process that never uses it.
 */
const { Agent, createServer, get, request } = process.getBuiltinModule('node:http')

export { Agent as HttpAgent, createServer as createHttpServer, get as httpGet, request as httpRequest }

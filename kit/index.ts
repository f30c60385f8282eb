export { Backoff, type BackoffOptions } from './backoff.ts'
export { BoundedQueue, type OverflowPolicy } from './bounded-queue.ts'
export { certificateChecksum, certificateCovers } from './certificate-facts.ts'
export { type CancelTimer, type Clock, sleep, systemClock } from './clock.ts'
export { announceReady, type DaemonMessage, failProcess, untilAskedToStop } from './daemon-process.ts'
export { openDataDirectory } from './data-directory.ts'
export { atMost, withDeadline } from './deadline.ts'
export { type DirectoryLock, lockDirectory } from './directory-lock.ts'
export {
  createFileDurably,
  makePrivateDirectory,
  readJsonFile,
  removeFileDurably,
  writeFileDurably,
} from './durable-file.ts'
export {
  DroverError,
  defineErrors,
  type ErrorDefinition,
  type ErrorDetails,
  explainError,
  isDroverError,
  kitErrors,
  systemErrorCode,
} from './errors.ts'
export { type CommandOptions, type CommandResult, runCommand } from './exec.ts'
export { FairQueue, type FairQueueLimits, withoutSeat } from './fair-queue.ts'
export {
  DEFAULT_BODY_LIMIT,
  type RequestTarget,
  readBody,
  readJsonBody,
  requestTarget,
  sendJson,
  sendText,
  statusOf,
} from './http-exchange.ts'
export { HttpListener, type HttpListenerOptions } from './http-listener.ts'
export { removeInterruptedWrites } from './interrupted-writes.ts'
export {
  formatIpv4,
  formatIpv4Block,
  type Ipv4Block,
  ipv4BlockContains,
  ipv4BlockSize,
  parseIpv4,
  parseIpv4Block,
  requireIpv4Block,
} from './ipv4.ts'
export {
  blockWithIpv6Prefix,
  formatIpv6,
  type Ipv6Prefix,
  parseIpv6,
  parseIpv6Prefix,
  requireIpv6Prefix,
  withIpv6Prefix,
} from './ipv6.ts'
export { KeyedLock } from './keyed-lock.ts'
export { readLines } from './lines.ts'
export { createLogger, type Logger, type LogLevel } from './log.ts'
export { ownMemoryRelease, releaseMemory } from './memory-release.ts'
export { createHttpServer, HttpAgent, httpGet, httpRequest } from './node-http.ts'
export { processStart } from './process-start.ts'
export { ReconcileLoop, type ReconcileLoopOptions, type ReconcileResult } from './reconcile-loop.ts'
export { type Static, type TSchema, Type, type Validator, validatorOf } from './schema.ts'
export { type Daemon, Supervisor } from './supervisor.ts'

/** The worker thread: the only one that touches the database. Answers requests in order. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { describeFailure, UnknownOutcome, UnusableFile } from './failure.ts'
import type { Reply, Request, WorkerOptions } from './messages.ts'
import { openFile } from './open-file.ts'
import { SqliteLog } from './sqlite-log.ts'

function answer(log: SqliteLog, { id, operation, args }: Request): Reply {
  try {
    // The main thread's side of the protocol is typed by the same operations.
    const run = log[operation] as (...args: unknown[]) => unknown
    return { type: 'result', id, value: run.apply(log, [...args]) }
  } catch (error) {
    if (error instanceof UnknownOutcome) return { type: 'unknown', id, message: error.message }
    return { type: 'refused', id, failure: describeFailure(error) }
  }
}

function serve(port: MessagePort, { file }: WorkerOptions): void {
  const send = (reply: Reply) => port.postMessage(reply)
  let log: SqliteLog
  try {
    log = new SqliteLog(openFile(file))
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error
    send({ type: 'unusable', reason: error.reason, message: error.message })
    return
  }
  send({ type: 'ready' })
  port.on('message', (request: Request) => {
    send(answer(log, request))
    if (request.operation === 'stop') port.close()
  })
}

if (parentPort !== null) serve(parentPort, workerData as WorkerOptions)

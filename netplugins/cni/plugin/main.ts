/**
 * The CNI plugin `drover`: hands what the runtime asks for to the agent of this host and prints its answer.
 *
 * The agent has the state, warm netlink sockets and compiled schemas, so that the executable only has to start fast:
 * it uses nothing but the runtime's own modules.
 */
import { readSync, writeSync } from 'node:fs'
import {
  CNI_ERROR_CODE,
  type CniErrorObject,
  CONFIGURATION_LIMIT,
  type PluginAnswer,
  type PluginRequest,
} from '../specification.ts'
import { exchange } from './agent-connection.ts'
import { readInvocation } from './invocation.ts'

/** Milliseconds in which the agent answers, or the runtime is told to try again. */
const ANSWER_DEADLINE = 90_000

/** Largest answer, in bytes. */
const ANSWER_LIMIT = 4 * CONFIGURATION_LIMIT

const STANDARD_INPUT = 0
const STANDARD_OUTPUT = 1

/** Everything on standard input; undefined when it is too much. */
function readInput(): string | undefined {
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const chunk = Buffer.alloc(64 * 1024)
    const length = readSync(STANDARD_INPUT, chunk, 0, chunk.length, null)
    if (length === 0) return Buffer.concat(chunks).toString('utf8')
    size += length
    if (size > CONFIGURATION_LIMIT) return undefined
    chunks.push(chunk.subarray(0, length))
  }
}

function print(value: unknown): void {
  const text = Buffer.from(`${JSON.stringify(value)}\n`)
  for (let written = 0; written < text.length; ) {
    written += writeSync(STANDARD_OUTPUT, text, written, text.length - written)
  }
}

function fail(error: CniErrorObject): never {
  print(error)
  process.exit(1)
}

/** The error for an agent that does not answer: STATUS has a code of its own for "cannot serve an ADD". */
function unreachable(request: PluginRequest, reason: string): CniErrorObject {
  return {
    cniVersion: String(request.configuration.cniVersion),
    code: request.command === 'STATUS' ? CNI_ERROR_CODE.notAvailable : CNI_ERROR_CODE.tryAgainLater,
    msg: `the drover agent of this host does not answer (${reason})`,
    details: 'check that the agent is running',
  }
}

async function ask(socket: string, request: PluginRequest): Promise<void> {
  const limits = { deadline: ANSWER_DEADLINE, size: ANSWER_LIMIT }
  const answer = await exchange(socket, JSON.stringify(request), limits).catch((error: Error) =>
    fail(unreachable(request, error.message)),
  )
  const message = JSON.parse(answer) as PluginAnswer
  if ('error' in message) fail(message.error)
  if (message.result !== undefined) print(message.result)
  process.exit(0)
}

function main(): void {
  const input = readInput()
  if (input === undefined) {
    fail({
      cniVersion: '1.1.0',
      code: CNI_ERROR_CODE.decodeFailed,
      msg: `the network configuration on standard input is longer than ${CONFIGURATION_LIMIT} bytes`,
    })
  }
  const invocation = readInvocation(process.env, input)
  switch (invocation.kind) {
    case 'version':
      print(invocation.answer)
      return
    case 'invalid':
      fail(invocation.error)
      break
    case 'request':
      void ask(invocation.socket, invocation.request)
  }
}

main()

/**
 * Reads YAML without holding up the event loop: it takes up to four milliseconds for each kilobyte, a hundred times as long
 * as JSON, and everybody else would wait for it. Short texts are read at once, long ones in a thread that is there while it
 * is needed, one after the other and in turns of clusters.
 */
import { Worker } from 'node:worker_threads'
import {
  atMost,
  type CancelTimer,
  explainError,
  FairQueue,
  isDroverError,
  systemClock,
} from '../../../../../kit/index.ts'
import { badRequest, StatusError } from '../../status.ts'
import { type YamlReply, type YamlRequest, yamlToJson } from './yaml-text.ts'

/** Characters that are read at once. */
const SHORT = 2 * 1024
/** Milliseconds for one text. */
const DEADLINE = 10_000
/** Milliseconds after its last text for which the thread is kept. */
const IDLE = 30_000
/** MiB that the thread may take: what is read is a hundred times as large as the text. */
const MEMORY_LIMIT = 256
/** One text at a time; this many of a cluster may wait. */
const TURNS = { seats: 1, seatsEach: 1, waitingEach: 32 }

function tooMuch(cause: unknown): StatusError {
  const message = 'Request entity too large: the YAML takes too much to read; JSON takes less'
  return new StatusError('RequestEntityTooLarge', message, undefined, cause)
}

function invalid(problem: string, cause?: unknown): StatusError {
  return badRequest(`the body of the request is not valid YAML: ${problem}`, cause)
}

/** One thread from its start to its end; asked one text at a time. */
class YamlThread {
  readonly #worker = new Worker(new URL('./yaml-text.ts', import.meta.url), {
    name: 'yaml',
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_LIMIT },
  })
  #asked: PromiseWithResolvers<YamlReply> | undefined

  /** @param onEnd called once, when it answers no more */
  constructor(onEnd: () => void) {
    this.#worker.on('message', (reply: YamlReply) => this.#asked?.resolve(reply))
    this.#worker.on('error', error => this.#asked?.reject(error))
    this.#worker.on('exit', code => {
      this.#asked?.reject(new Error(`the thread ended with ${code}`))
      onEnd()
    })
    // A server that stops does not wait for it. Not before the listeners: they would undo it.
    this.#worker.unref()
  }

  /** @throws what ended the thread */
  async read(text: YamlRequest): Promise<YamlReply> {
    this.#asked = Promise.withResolvers()
    this.#worker.postMessage(text)
    return await this.#asked.promise
  }

  end(): void {
    void this.#worker.terminate()
  }
}

export class YamlReader {
  readonly #turns = new FairQueue('cluster', TURNS)
  #thread: YamlThread | undefined
  #endLater: CancelTimer | undefined

  /**
   * @param cluster whose client sent the text
   * @returns JSON; undefined for what JSON cannot say
   * @throws `BadRequest` for what is no YAML, `RequestEntityTooLarge` for what takes too much time or memory, `QueueFull`
   */
  async read(cluster: string, text: string): Promise<string | undefined> {
    if (text.length > SHORT) return await this.#turns.run(cluster, () => this.#readInThread(text))
    try {
      return yamlToJson(text)
    } catch (cause) {
      throw invalid(explainError(cause), cause)
    }
  }

  async #readInThread(text: string): Promise<string | undefined> {
    this.#endLater?.()
    const thread = this.#thread ?? this.#start()
    const reply = await this.#ask(thread, text)
    this.#endLater = systemClock.after(IDLE, () => thread.end())
    if ('problem' in reply) throw invalid(reply.problem)
    return reply.json
  }

  async #ask(thread: YamlThread, text: string): Promise<YamlReply> {
    try {
      return await atMost(DEADLINE, 'YAML', thread.read(text))
    } catch (cause) {
      // It is still at it, or gone.
      if (this.#thread === thread) this.#thread = undefined
      if (isDroverError(cause, 'DeadlineExceeded')) thread.end()
      throw tooMuch(cause)
    }
  }

  #start(): YamlThread {
    const thread = new YamlThread(() => {
      if (this.#thread === thread) this.#thread = undefined
    })
    this.#thread = thread
    return thread
  }
}

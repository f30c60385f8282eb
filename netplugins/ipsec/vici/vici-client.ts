/**
 * A connection to charon's control socket.
 *
 * Answers carry no number: one request at a time is under way, and one that is not answered in time makes the connection
 * useless, because what comes next could be the answer to it.
 */
import { connect, type Socket } from 'node:net'
import { atMost, explainError, kitErrors } from '../../../kit/index.ts'
import { networkErrors } from '../../errors.ts'
import { textOf, type ViciSection } from './message.ts'
import { type ClientPacket, decodePacket, encodePacket, SegmentReader, type ServerPacket } from './packet.ts'

/** Milliseconds for an answer, and between two parts of one. */
const DEADLINE = 10_000

/** Requests that may wait for their turn. */
const WAITING_LIMIT = 5_000

/** Parts of one streamed answer: security associations of a very large cluster. */
const STREAM_LIMIT = 50_000

type Answer = Exclude<ServerPacket, { kind: 'event' }>

interface Pending {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

export type ViciEventListener = (message: ViciSection) => void

export class ViciClient {
  readonly #socket: Socket
  readonly #path: string
  readonly #segments = new SegmentReader()
  readonly #listeners = new Map<string, Set<ViciEventListener>>()
  readonly #closed: Promise<Error>
  #tellClosed: (reason: Error) => void = () => undefined
  #pending: Pending | undefined
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #reason: Error | undefined

  private constructor(socket: Socket, path: string) {
    this.#socket = socket
    this.#path = path
    const { promise, resolve } = Promise.withResolvers<Error>()
    this.#closed = promise
    this.#tellClosed = resolve
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', error => this.#fail(error))
    socket.on('close', () => this.#fail(kitErrors.Stopped({ object: `VICI socket ${path}` })))
  }

  /** @param path of the unix socket. @throws the system's error, `DeadlineExceeded` */
  static async connect(path: string, deadline = DEADLINE): Promise<ViciClient> {
    const socket = connect(path)
    try {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      socket.once('connect', resolve)
      socket.once('error', reject)
      await atMost(deadline, `VICI socket ${path}`, promise)
      socket.off('error', reject)
      return new ViciClient(socket, path)
    } catch (error) {
      socket.on('error', () => undefined)
      socket.destroy()
      throw error
    }
  }

  /** Resolves with the reason when the connection is no more. */
  get closed(): Promise<Error> {
    return this.#closed
  }

  /**
   * Makes one request.
   *
   * @returns charon's answer
   * @throws `CharonRefused` when charon says that it did not succeed, `DeadlineExceeded`, `Stopped`, `QueueFull`
   */
  async request(command: string, message: ViciSection = {}, deadline = DEADLINE): Promise<ViciSection> {
    return await this.#inTurn(() => this.#command(command, message, deadline))
  }

  /**
   * Makes a request whose answer comes in parts.
   *
   * @param event by which the parts come: `list-sa`
   * @throws like `request`
   */
  async stream(command: string, event: string, message: ViciSection = {}): Promise<ViciSection[]> {
    return await this.#inTurn(async () => {
      const parts: ViciSection[] = []
      const collect = (part: ViciSection) => {
        if (parts.length >= STREAM_LIMIT)
          this.#fail(kitErrors.QueueFull({ object: `answer to VICI ${command}` }))
        else parts.push(part)
      }
      const stop = await this.#subscribe(event, collect)
      try {
        await this.#command(command, message, DEADLINE)
      } finally {
        await stop()
      }
      return parts
    })
  }

  /**
   * Calls `listener` for every event of that name.
   *
   * @returns ends that
   * @throws `CharonRefused` when there are no such events; like `request`
   */
  async listen(event: string, listener: ViciEventListener): Promise<() => Promise<void>> {
    const stop = await this.#inTurn(() => this.#subscribe(event, listener))
    return () => this.#inTurn(stop)
  }

  close(): void {
    this.#fail(kitErrors.Stopped({ object: `VICI socket ${this.#path}` }))
  }

  async #command(command: string, message: ViciSection, deadline: number): Promise<ViciSection> {
    const answer = await this.#exchange({ kind: 'request', name: command, message }, deadline)
    if (answer.kind !== 'response') {
      throw networkErrors.CharonRefused({
        object: `VICI ${command}`,
        message: 'is not a command that charon knows',
      })
    }
    if (textOf(answer.message, 'success') === 'no') {
      throw networkErrors.CharonRefused({
        object: `VICI ${command}`,
        message: textOf(answer.message, 'errmsg') ?? 'did not succeed',
      })
    }
    return answer.message
  }

  async #subscribe(event: string, listener: ViciEventListener): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(event) ?? new Set()
    if (listeners.size === 0) {
      const answer = await this.#exchange({ kind: 'register', name: event }, DEADLINE)
      if (answer.kind !== 'confirm') {
        throw networkErrors.CharonRefused({
          object: `VICI event ${event}`,
          message: 'is not one that charon knows',
        })
      }
    }
    this.#listeners.set(event, listeners.add(listener))
    return async () => {
      listeners.delete(listener)
      if (listeners.size > 0 || this.#reason !== undefined) return
      await this.#exchange({ kind: 'unregister', name: event }, DEADLINE)
    }
  }

  async #exchange(packet: ClientPacket, deadline: number): Promise<Answer> {
    if (this.#reason !== undefined) throw this.#reason
    const bytes = encodePacket(packet)
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.#pending = { resolve, reject }
    this.#socket.write(bytes)
    try {
      return await atMost(deadline, `VICI ${packet.name}`, promise)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(explainError(error)))
      throw error
    } finally {
      this.#pending = undefined
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_LIMIT) throw kitErrors.QueueFull({ object: `VICI socket ${this.#path}` })
    this.#waiting += 1
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    try {
      return await turn
    } finally {
      this.#waiting -= 1
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const bytes of this.#segments.push(chunk)) this.#dispatch(decodePacket(bytes))
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(explainError(error)))
    }
  }

  #dispatch(packet: ServerPacket): void {
    if (packet.kind === 'event') {
      for (const listener of this.#listeners.get(packet.name) ?? []) listener(packet.message)
      return
    }
    const pending = this.#pending
    this.#pending = undefined
    if (pending === undefined)
      throw networkErrors.MalformedVici({ object: 'VICI packet', message: 'answers nothing that was asked' })
    pending.resolve(packet)
  }

  #fail(reason: Error): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#socket.destroy()
    this.#pending?.reject(reason)
    this.#tellClosed(reason)
  }
}

/** The attachments of this host, one file each: the record is what makes an attachment one. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import {
  isDroverError,
  type Logger,
  makePrivateDirectory,
  readJsonFile,
  removeFileDurably,
  removeInterruptedWrites,
  writeFileDurably,
} from '../../kit/index.ts'
import { type Attachment, attachmentKey, attachmentValidator } from './attachment.ts'

/** Names the attachment in question. */
type Key = Pick<Attachment, 'containerId' | 'interfaceName'>

export class AttachmentStore {
  readonly #directory: string
  readonly #attachments: Map<string, Attachment>

  private constructor(directory: string, attachments: Map<string, Attachment>) {
    this.#directory = directory
    this.#attachments = attachments
  }

  static async open(directory: string, log: Logger): Promise<AttachmentStore> {
    await makePrivateDirectory(directory)
    const attachments = new Map<string, Attachment>()
    for (const name of await removeInterruptedWrites(directory)) {
      const file = path.join(directory, name)
      try {
        const attachment = await readJsonFile(file, attachmentValidator)
        if (attachment !== undefined) attachments.set(attachmentKey(attachment), attachment)
      } catch (error) {
        if (!isDroverError(error, 'CorruptFile')) throw error
        // Its link has no owner now, and is removed like every such link.
        log.warn({ reason: error.explain() }, 'forgot an attachment')
        await removeFileDurably(file)
      }
    }
    return new AttachmentStore(directory, attachments)
  }

  get(key: Key): Attachment | undefined {
    return this.#attachments.get(attachmentKey(key))
  }

  list(): Attachment[] {
    return [...this.#attachments.values()]
  }

  /** @returns when it is on disk */
  async put(attachment: Attachment): Promise<void> {
    await writeFileDurably(this.#file(attachment), JSON.stringify(attachment))
    this.#attachments.set(attachmentKey(attachment), attachment)
  }

  /** @returns when it is gone from disk */
  async remove(key: Key): Promise<void> {
    await removeFileDurably(this.#file(key))
    this.#attachments.delete(attachmentKey(key))
  }

  /** Ids may be longer than a file's name; their hash is not. */
  #file(key: Key): string {
    const hash = createHash('sha256').update(attachmentKey(key)).digest('hex')
    return path.join(this.#directory, `${hash.slice(0, 32)}.json`)
  }
}

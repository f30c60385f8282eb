/** Protobuf field numbers, arranged by the definitions' JSON names. */
import type { TableWire } from '../schema/index.ts'
import { asList, asRecord, asString } from './document.ts'

interface Message {
  readonly package: string
  readonly fields: readonly { readonly name: string; readonly number: number; readonly type: string }[]
}

export class WireForms {
  readonly #messages = new Map<string, Message>()

  /** @throws `UnreadableSource` */
  constructor(document: unknown) {
    for (const [name, fields] of Object.entries(asRecord(document, 'protobuf'))) {
      this.#messages.set(name, {
        package: name.slice(0, name.lastIndexOf('.')),
        fields: Object.entries(asRecord(fields, name)).map(([field, described]) => {
          const [number, type] = asList(described, name)
          return { name: field, number: Number(number), type: asString(type, name) }
        }),
      })
    }
  }

  /**
   * The protobuf form of a definition; undefined when it has none.
   *
   * @param names the JSON names of the definition's fields
   */
  of(definition: string, names: Iterable<string>): TableWire | undefined {
    const message = this.#messages.get(`k8s.io.${definition.replaceAll('-', '_')}`)
    // Some messages write their fields with other capitals than JSON does.
    const byLowerCase = new Map(Array.from(names, name => [name.toLowerCase(), name]))
    return message && this.#arrange(message, byLowerCase)
  }

  #arrange(message: Message, names: ReadonlyMap<string, string>): TableWire {
    return message.fields
      .flatMap(({ name, number, type }): TableWire => {
        const jsonName = names.get(name.toLowerCase())
        if (jsonName !== undefined) return [[number, jsonName]]
        // Go's embedded structs: messages of their own in protobuf, part of the outer object in JSON.
        const embedded = this.#messages.get(
          type.startsWith('.') ? type.slice(1) : `${message.package}.${type}`,
        )
        return embedded === undefined ? [] : [[number, this.#arrange(embedded, names)]]
      })
      .sort(([a], [b]) => a - b)
  }
}

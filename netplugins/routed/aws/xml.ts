/** As much XML as AWS answers in: elements and text. Attributes, comments and declarations are passed over. */
import { kitErrors } from '../../../kit/index.ts'

export interface XmlElement {
  readonly name: string
  readonly children: readonly XmlElement[]
  /** Of an element without children. */
  readonly text: string
}

/** Deeper than any answer. */
const DEPTH_LIMIT = 32

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function decode(text: string): string {
  return text.replaceAll(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, name: string) => {
    if (name.startsWith('#')) {
      const code = name[1] === 'x' ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole
    }
    return ENTITIES[name] ?? whole
  })
}

interface OpenElement {
  readonly name: string
  readonly children: XmlElement[]
  text: string
}

/** @returns the outermost element. @throws `InvalidFormat` */
export function parseXml(document: string): XmlElement {
  const invalid = (message: string) => kitErrors.InvalidFormat({ object: 'XML document', message })
  const open: OpenElement[] = [{ name: '', children: [], text: '' }]
  for (const [, comment, closing, name = '', single, text] of document.matchAll(
    /<(?:([?!])[^>]*|(\/?)([A-Za-z_][\w:.-]*)[^>]*?(\/?))>|([^<]+)/g,
  )) {
    const current = open.at(-1)
    if (comment !== undefined || current === undefined) continue
    if (text !== undefined) {
      current.text += decode(text)
    } else if (closing === '/') {
      if (current.name !== name || open.length < 2) throw invalid(`</${name}> closes nothing`)
      open.pop()
      open.at(-1)?.children.push({ ...current, text: current.text.trim() })
    } else if (single === '/') {
      current.children.push({ name, children: [], text: '' })
    } else {
      if (open.length > DEPTH_LIMIT) throw invalid('is nested too deeply')
      open.push({ name, children: [], text: '' })
    }
  }
  const [root] = open[0]?.children ?? []
  if (open.length !== 1 || root === undefined) throw invalid('ends in the middle')
  return root
}

/** The elements below that have the names of a path, e.g. `routeTableSet/item`. */
export function elementsAt(element: XmlElement, path: string): readonly XmlElement[] {
  return path
    .split('/')
    .reduce<readonly XmlElement[]>(
      (found, name) => found.flatMap(({ children }) => children.filter(child => child.name === name)),
      [element],
    )
}

/** The text of the first such element; undefined when there is none, or it is empty. */
export function textAt(element: XmlElement, path: string): string | undefined {
  const text = elementsAt(element, path)[0]?.text
  return text === '' ? undefined : text
}

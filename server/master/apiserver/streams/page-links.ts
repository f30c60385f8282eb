/**
 * Links of pages that come through the proxy: those that begin at the root lead to the proxy's path, so that a page's own parts
 * are found (`k8s.io/apimachinery/pkg/util/proxy`). Pages are rewritten while they pass, tag by tag.
 */
import { Transform, type TransformCallback } from 'node:stream'

/** Where a page is, for its reader and for who made it. */
export interface PagePlace {
  /** What comes before the page's own path, at this server. */
  readonly prefix: string
  /** Host and port that links to the same place may name: that which was asked for, and that which answered. */
  readonly hosts: { readonly asked: string; readonly answering: string }
}

/** Characters of one tag: longer ones pass as they are. */
const LONGEST_TAG = 16 * 1024
const URL_PARTS = /^([a-z][a-z0-9+.-]*:)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/is

/** Attributes with URLs. */
const LINKS: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries({
    a: 'href',
    applet: 'codebase',
    area: 'href',
    audio: 'src',
    base: 'href',
    blockquote: 'cite',
    body: 'background',
    button: 'formaction',
    command: 'icon',
    del: 'cite',
    embed: 'src',
    form: 'action',
    frame: 'longdesc src',
    head: 'profile',
    html: 'manifest',
    iframe: 'longdesc src',
    img: 'longdesc src usemap',
    input: 'src usemap formaction',
    ins: 'cite',
    link: 'href',
    object: 'classid codebase data usemap',
    q: 'cite',
    script: 'src',
    source: 'src',
    video: 'poster src',
  }).map(([name, attributes]) => [name, new Set(attributes.split(' '))]),
)

/** Elements whose content has no tags but that of their end. */
const PLAIN_CONTENT = new Set([
  'script',
  'style',
  'textarea',
  'title',
  'xmp',
  'iframe',
  'noembed',
  'noframes',
])

/** The prefix as a URL has it that may stand in any attribute. */
function quoted(prefix: string): string {
  return prefix.replaceAll(
    /[^\w/.~:%-]/g,
    character => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

/** A link as the page's reader has to follow it; itself where it is relative, or leads elsewhere. */
export function linkThroughProxy(link: string, { prefix, hosts }: PagePlace): string {
  const [, scheme = '', host, path = '', rest = ''] = URL_PARTS.exec(link) ?? []
  if (!path.startsWith('/')) return link
  if (host === undefined ? scheme !== '' : host !== hosts.asked && host !== hosts.answering) return link
  const origin = host !== undefined && host === hosts.asked ? `${scheme}//${host}` : ''
  return `${origin}${path.startsWith(prefix) ? '' : quoted(prefix)}${path}${rest}`
}

const NAME = /<([a-z][^\s/>]*)/iy
const BETWEEN = /[\s/]+/y
const ATTRIBUTE = /=?[^\s/>=]*/y
const EQUALS = /\s*=\s*/y
const VALUE = /"([^"]*)"|'([^']*)'|[^\s>]*/y

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}

/** A tag with its links rewritten. */
function rewriteTag(tag: string, place: PagePlace): string {
  const name = match(NAME, tag, 0)
  const links = LINKS.get(name?.[1]?.toLowerCase() ?? '')
  if (name === undefined || links === undefined) return tag
  let written = name[0]
  let at = written.length
  while (at < tag.length && tag[at] !== '>') {
    const attribute = (match(BETWEEN, tag, at) ?? match(ATTRIBUTE, tag, at))?.[0] ?? ''
    written += attribute
    at += attribute.length
    const equals = attribute.trim() === '' || /^[\s/]/.test(attribute) ? undefined : match(EQUALS, tag, at)
    if (equals === undefined) {
      if (attribute === '') break
      continue
    }
    at += equals[0].length
    const [value = '', double, single] = match(VALUE, tag, at) ?? []
    at += value.length
    const quote = double === undefined ? (single === undefined ? '' : "'") : '"'
    const link = double ?? single ?? value
    const rewritten = links.has(attribute.toLowerCase()) ? linkThroughProxy(link, place) : link
    written += `${equals[0]}${quote}${rewritten}${quote}`
  }
  return written + tag.slice(at)
}

type Position =
  | { readonly in: 'text' }
  | { readonly in: 'tag' }
  /** One that is not rewritten. `content`: what comes behind it. */
  | { readonly in: 'long tag'; readonly content: Position }
  | { readonly in: 'comment' }
  /** The content of an element of that name. */
  | { readonly in: 'plain'; readonly end: RegExp; readonly length: number }

const TEXT: Position = { in: 'text' }

/** What comes behind a tag. */
function contentOf(tag: string): Position {
  const name = match(NAME, tag, 0)?.[1]?.toLowerCase() ?? ''
  if (!PLAIN_CONTENT.has(name)) return TEXT
  return { in: 'plain', end: new RegExp(`</${name}`, 'i'), length: name.length + 1 }
}

/** Rewrites the links of a page. Its bytes are those of an encoding in which ASCII is itself. */
export class PageLinks extends Transform {
  readonly #place: PagePlace
  #position: Position = TEXT
  /** What could not be decided yet. */
  #held = ''
  /** How far a tag was looked through, and the quote that is open there. */
  #scanned = 0
  #quote = ''

  constructor(place: PagePlace) {
    super()
    this.#place = place
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#held += chunk.toString('latin1')
    const pieces: string[] = []
    while (this.#step(pieces));
    done(null, Buffer.from(pieces.join(''), 'latin1'))
  }

  override _flush(done: TransformCallback): void {
    done(null, Buffer.from(this.#held, 'latin1'))
  }

  /** Goes on as far as it can. @returns whether more may be possible */
  #step(pieces: string[]): boolean {
    switch (this.#position.in) {
      case 'text':
        return this.#text(pieces)
      case 'tag':
        return this.#tag(pieces)
      case 'long tag':
        return this.#longTag(this.#position.content, pieces)
      case 'comment':
        return this.#until(/-->/, 2, pieces)
      case 'plain':
        return this.#until(this.#position.end, this.#position.length, pieces)
    }
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    return taken
  }

  #text(pieces: string[]): boolean {
    const start = this.#held.indexOf('<')
    pieces.push(this.#take(start < 0 ? this.#held.length : start))
    // As many as tell a comment.
    if (this.#held.length < 4) return false
    if (this.#held.startsWith('<!--')) {
      this.#position = { in: 'comment' }
      // It may end at once: `<!-->`.
      pieces.push(this.#take(2))
    } else if (/^<[a-z]/i.test(this.#held)) {
      this.#position = { in: 'tag' }
      this.#scanned = 1
      this.#quote = ''
    } else pieces.push(this.#take(1))
    return true
  }

  #tag(pieces: string[]): boolean {
    const end = this.#endOfTag()
    if (end !== undefined) {
      const tag = this.#take(end + 1)
      pieces.push(rewriteTag(tag, this.#place))
      this.#position = contentOf(tag)
      return true
    }
    if (this.#held.length <= LONGEST_TAG) return false
    this.#position = { in: 'long tag', content: contentOf(this.#held) }
    return this.#longTag(this.#position.content, pieces)
  }

  #longTag(content: Position, pieces: string[]): boolean {
    const end = this.#endOfTag()
    pieces.push(this.#take(end === undefined ? this.#held.length : end + 1))
    this.#scanned = 0
    if (end === undefined) return false
    this.#position = content
    return true
  }

  #endOfTag(): number | undefined {
    for (; this.#scanned < this.#held.length; this.#scanned += 1) {
      const character = this.#held[this.#scanned] ?? ''
      if (this.#quote !== '') {
        if (character === this.#quote) this.#quote = ''
      } else if (character === '>') return this.#scanned
      else if (character === '"' || character === "'") this.#quote = character
    }
    return undefined
  }

  /** Lets pass what comes before an end. @param kept characters that may be the first ones of the end */
  #until(end: RegExp, kept: number, pieces: string[]): boolean {
    const found = this.#held.search(end)
    if (found < 0) {
      pieces.push(this.#take(Math.max(0, this.#held.length - kept)))
      return false
    }
    pieces.push(this.#take(found))
    this.#position = TEXT
    return true
  }
}

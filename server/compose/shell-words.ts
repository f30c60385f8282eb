/** Splits a command line into words the way a POSIX shell does: quotes and backslashes, no expansions. */

/** @returns undefined when a quote is not closed */
export function splitShellWords(line: string): string[] | undefined {
  const words: string[] = []
  let word: string | undefined
  let quote: '"' | "'" | undefined
  for (let index = 0; index < line.length; index += 1) {
    const character = line.charAt(index)
    if (quote === "'") {
      if (character === "'") quote = undefined
      else word += character
    } else if (character === '\\' && index + 1 < line.length) {
      const next = line.charAt(index + 1)
      // Inside double quotes a backslash is special only before these (POSIX.1-2017, 2.2.3).
      if (quote === '"' && !'$`"\\\n'.includes(next)) word = (word ?? '') + character
      else {
        word = (word ?? '') + next
        index += 1
      }
    } else if (quote === '"') {
      if (character === '"') quote = undefined
      else word += character
    } else if (character === '"' || character === "'") {
      quote = character
      word ??= ''
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + character
  }
  if (quote !== undefined) return undefined
  if (word !== undefined) words.push(word)
  return words
}

export { encodeTail, type KeptTail, keptText, tailOf, withRevision } from './kept-text.ts'
export { ParsedObjects, parseStored } from './parsed-objects.ts'

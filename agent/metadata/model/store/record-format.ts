/**
 * How an object becomes a record: a few hundred bytes instead of a few thousand.
 *
 * A record is one value; a value begins with a byte that says what it is. What many records hold (names of states, uuids
 * of hosts, sets of keys) stands there as a number of a `SharedTable`; hexadecimal texts take half their length; a text
 * that the record holds already is its place in it.
 */

/** The first byte of a value. `SMALL` and `SHORT` are the lowest of many that say a number, or a length, as well. */
export const Kind = {
  null: 0,
  false: 1,
  true: 2,
  /** Eight bytes, little-endian. */
  double: 3,
  /** A varint: twice the number, or twice its distance from -1 and one more. */
  integer: 4,
  /** A varint with the number of bytes, then UTF-8. */
  utf8: 5,
  /** The same in UTF-16: texts that are no Unicode. */
  utf16: 6,
  /** A varint with the number of bytes, then as many: each two hexadecimal digits. */
  hexadecimal: 7,
  /** 16 bytes. */
  uuid: 8,
  /** A varint: number of a shared text. */
  shared: 9,
  /** A varint: which of the record's texts so far, not counting shared and repeated ones. */
  repeated: 10,
  /** A varint with the number of values, then these. */
  array: 11,
  /** A varint: number of shared keys; then a value for each. */
  shaped: 12,
  /** A varint with the number of entries; then for each a text and a value. */
  entries: 13,
  /** Up to 31. */
  small: 0x20,
  /** Of up to 127 characters of one byte each. */
  short: 0x80,
} as const

export const LARGEST_SMALL = 31
export const LONGEST_SHORT = 127

/** Keys of an object as one text; different keys may have the same one. */
export function shapeText(keys: readonly string[]): string {
  return keys.join('\n')
}

/** Why a websocket is closed, for its close frame. */

/** Bytes: a control frame holds 125, and the code takes two (RFC 6455, 5.5 and 5.5.1). */
const LONGEST = 123

/** As much of a text as a close frame holds. Longer ones make the library throw, wherever that is. */
export function closeReason(text: string): string {
  // What is left of a character that is cut in two is kept back for bytes that never come.
  return new TextDecoder().decode(Buffer.from(text).subarray(0, LONGEST), { stream: true })
}

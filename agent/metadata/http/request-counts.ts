/** What became of requests: plain numbers, because an answer that is known takes a few microseconds. */
export class RequestCounts {
  /** With a value, or that the client has it already. */
  answered = 0
  /** Streams of changes that were begun. */
  streams = 0
  /** There is nothing at that path. */
  notFound = 0
  /** Not allowed to ask: from outside, or for somebody else. */
  refused = 0
  /** Not understood. */
  malformed = 0
  /** To be asked again: not known yet who asks, or too many wait. */
  unavailable = 0
  /** By a mistake of ours. */
  failed = 0

  /** Counts a request that got an error of this HTTP status. */
  add(status: number): void {
    if (status === 404) this.notFound += 1
    else if (status === 403) this.refused += 1
    else if (status === 503) this.unavailable += 1
    else if (status >= 500) this.failed += 1
    else this.malformed += 1
  }
}

/** Where HAProxy runs: as a process of ours, or in a container that lives longer than we do. */

export interface HaproxyRunner {
  /** It goes on when we end, and is taken over by the next process of ours; others end with us. */
  readonly lasting: boolean
  readonly running: boolean
  /** Process id of the master, where it is known. */
  readonly pid: number | undefined
  /** What HAProxy says against a configuration; empty when nothing. */
  check(file: string): Promise<string>
  /** Has it run with the configuration that is there. @throws `HaproxyMissing`, `StartFailed` with what it said */
  start(): Promise<void>
  /** Has it take the configuration as it is now; what it had is served on otherwise. @throws `ReloadFailed` */
  reload(): Promise<void>
  /** Ends it, unless it is lasting. Idempotent. */
  stop(): Promise<void>
  /** Ends one that an earlier process of ours left, unless it is lasting. */
  endLeftOver(): Promise<void>
}

/** What a runner is made for. */
export interface RunnerPlace {
  /** The configuration that is to be used, always by this path. */
  readonly configurationFile: string
  /** Where HAProxy listens for commands once it has the configuration that is there. */
  readonly adminSocket: () => string
  /** It ended without having been asked to. */
  readonly onUnexpectedEnd: () => void
}

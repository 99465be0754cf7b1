/** What the command's exit code tells a script. A code is never given another meaning. */
export const exitCodes = {
  /** Everything that was asked for is done; of a run: every task has landed, has its branch pushed, or had nothing to change. */
  done: 0,
  /** A task failed, timed out, was cancelled or discarded. */
  taskFailed: 1,
  /** Wrong usage, or bad input: nothing was started. */
  badInput: 2,
  /** The stack can't be started or reached, failed to answer, or ended meanwhile. */
  stackUnavailable: 3,
  /** Nothing goes on until a person does something; what to type is said. */
  personAwaited: 4,
  /** Detached by Ctrl-C; the run goes on. */
  detached: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** For `--help`. */
export const exitCodesHelp = `Exit codes:
  0    done; of a run: every task has landed, has its branch pushed, or had nothing to change
  1    a task failed, timed out, was cancelled or discarded
  2    wrong usage or bad input; nothing was started
  3    the stack can't be started or reached, failed to answer, or ended meanwhile
  4    a person is waited for (approval, merge, or finishing a landing)
  130  detached by Ctrl-C; the run goes on`;

/** Exit codes of `coppice`. Scripts rely on them, so the meaning of a code never changes. */
export const exitCodes = {
  /** The command succeeded. For a run: every task has landed, has its branch pushed, or had nothing to change. */
  done: 0,
  /** A task failed, timed out, was cancelled or discarded. */
  taskFailed: 1,
  /** Wrong usage or bad input. Nothing was started. */
  badInput: 2,
  /** The stack can't be started or reached, failed to answer, or ended before the command did. */
  stackUnavailable: 3,
  /** A task waits for the user. The output names the command to type. */
  personAwaited: 4,
  /** Interrupted by Ctrl-C. A submitted run continues. */
  detached: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodesHelp = `Exit codes:
  0    done; for a run: every task has landed, has its branch pushed, or had nothing to change
  1    a task failed, timed out, was cancelled or discarded
  2    wrong usage or bad input; nothing was started
  3    the stack can't be started or reached, failed to answer, or ended before the command did
  4    a person is waited for (approval, merge, or finishing a landing)
  130  interrupted by Ctrl-C; a run that was submitted goes on`;

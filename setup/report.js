/** Messages from set-up to the user. They are plain lines on stderr, since stdout must contain only the output of `--json`. */

/** Error of a set-up step, with what was tried and what the user can do by hand. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError';

  /**
   * @param {string} what one sentence that says what failed
   * @param {{ tried: readonly string[], byHand: string }} details
   */
  constructor(what, { tried, byHand }) {
    super(what);
    this.tried = tried;
    this.byHand = byHand;
  }
}

/** @param {string} line */
export function say(line) {
  process.stderr.write(`set-up: ${line}\n`);
}

/** @param {SetupError} error */
export function formatSetupError(error) {
  return [error.message, ...error.tried.map((line) => `  tried: ${line}`), `  by hand: ${error.byHand}`].join('\n');
}

/**
 * Returns the last lines of a program's output, for an error message.
 * @param {string} output
 * @param {number} [linesMax]
 */
export function lastLines(output, linesMax = 3) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-linesMax).join(' | ') || 'no output';
}

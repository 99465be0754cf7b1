/** What set-up tells its user: plain lines on standard error, so that `--json` alone owns standard output. */

/** A step that failed, with what was tried and what a person can do about it. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError';

  /**
   * @param {string} what one sentence: what could not be had
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
 * The last lines of a program's output, for an error message.
 * @param {string} output
 * @param {number} [linesMax]
 */
export function lastLines(output, linesMax = 3) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-linesMax).join(' | ') || 'no output';
}

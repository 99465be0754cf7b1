/** Functions that find programs, run them with a time limit, and return their output. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const outputBytesMax = 64 * 1024 * 1024;

/**
 * @typedef {object} RunResult
 * @property {boolean} ok true if the program exited with code 0 within the time limit
 * @property {string} stdout
 * @property {string} output stdout, then stderr. If the program could not be started or was killed, the reason follows.
 */

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number, input?: string }} [options] `timeoutMs`: default
 * one minute
 * @returns {RunResult} the result. This function never throws, even if the program can't be started.
 */
export function run(program, args, { cwd, env, timeoutMs = 60_000, input } = {}) {
  const result = spawnSync(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: env ?? process.env,
    ...(input === undefined ? {} : { input }),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
    maxBuffer: outputBytesMax,
    encoding: 'utf8',
  });
  const failure = result.error === undefined ? '' : `${program}: ${result.error.message}\n`;
  return {
    ok: result.status === 0 && result.error === undefined,
    stdout: result.stdout ?? '',
    output: `${result.stdout ?? ''}${result.stderr ?? ''}${failure}`,
  };
}

/**
 * @param {string} name
 * @param {string} [searchPath]
 * @returns {string | undefined} path of the first executable file with this name on PATH. Undefined if there is none.
 */
export function findOnPath(name, searchPath = process.env['PATH']) {
  for (const folder of (searchPath ?? '').split(delimiter)) {
    if (folder !== '' && isExecutable(join(folder, name))) return join(folder, name);
  }
  return undefined;
}

/** @param {string} file */
export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * Returns the command that starts npm. If npm started this process, the command starts the same npm, with the same
 * configuration.
 * @returns {{ program: string, args: readonly string[] }}
 */
export function npmCommand() {
  const script = process.env['npm_execpath'];
  if (script !== undefined && /npm-cli\.[cm]?js$/.test(script)) return { program: process.execPath, args: [script] };
  return { program: 'npm', args: [] };
}

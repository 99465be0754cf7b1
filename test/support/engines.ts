import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isRequired } from './required.ts';

const runFile = promisify(execFile);

/**
 * Returns the reason why docker-compose.yml can't be tested on this machine, or null. If COPPICE_TEST_REQUIRE contains
 * `compose`, always returns null, so that tests fail instead of being skipped.
 */
export async function whyWithoutCompose(): Promise<string | null> {
  if (isRequired('compose')) return null;
  if ((process.env['COPPICE_DOCKER_COMPOSE'] ?? '') === '')
    return 'no docker-compose here; "npm test" fetches it where it can';
  return whyWithout('docker');
}

/**
 * Returns the reason why an engine can't be used on this machine, or null. If COPPICE_TEST_REQUIRE contains the engine,
 * always returns null, so that tests fail instead of being skipped.
 */
export async function whyWithout(engine: 'docker' | 'bubblewrap'): Promise<string | null> {
  if (isRequired(engine)) return null;
  try {
    if (engine === 'docker') await runFile('docker', ['version', '--format', '{{.Server.Version}}']);
    else await runFile(process.env['COPPICE_BWRAP'] ?? 'bwrap', ['--version']);
    return null;
  } catch (error) {
    return `no ${engine} here: ${(error as Error).message.split('\n')[0]}`;
  }
}

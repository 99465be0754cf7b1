import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isRequired } from './required.ts';

const runFile = promisify(execFile);

/** Returns why docker-compose.yml can't be tested here, or null. When COPPICE_TEST_REQUIRE names `compose`, its absence fails the test. */
export async function whyWithoutCompose(): Promise<string | null> {
  if (isRequired('compose')) return null;
  if ((process.env['COPPICE_DOCKER_COMPOSE'] ?? '') === '')
    return 'no docker-compose here; "npm test" fetches it where it can';
  return whyWithout('docker');
}

/** Returns why an engine can't be used here, or null. When COPPICE_TEST_REQUIRE names it, its absence fails the test instead of skipping it. */
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

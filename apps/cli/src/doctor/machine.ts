import { existsSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { serverVersionMin } from '@coppice/bus';
import { isAtLeast, parseVersion } from '@coppice/service';
import { CliError } from '../errors.ts';
import { tryGit } from '../git.ts';
import type { Home } from '../stack/home.ts';
import { natsServerVersion } from '../stack/nats-server-version.ts';
import { natsServerProgram, projectFolder } from '../stack/programs.ts';
import { fault, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const nodeVersionMin = '24.0.0';
/** The first git version with `git merge-tree --write-tree`, which merges without a working tree. */
const gitVersionMin = '2.38.0';
const gibibyte = 1024 ** 3;
const freeBytesFault = gibibyte / 2;
const freeBytesWarning = 4 * gibibyte;

const setUpAgain = `rm -r ${path.join(projectFolder, '.cache')} && node ${path.join(projectFolder, 'setup/setup.js')}`;

export function checkNode(version = process.versions.node): Check {
  const found = `${version} (${process.execPath})`;
  return isAtLeast(version, nodeVersionMin)
    ? ok('Node', found)
    : fault('Node', `${found}, which is older than ${nodeVersionMin}`, setUpAgain);
}

export async function checkGit(folder: string): Promise<Check> {
  const install = `install git ${gitVersionMin} or newer`;
  try {
    const { out } = await tryGit(folder, '--version');
    const version = parseVersion(out);
    if (version !== null && isAtLeast(version, gitVersionMin)) return ok('git', version);
    return fault('git', `${version ?? out}, which is older than ${gitVersionMin}`, install);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return fault('git', error.message, install);
  }
}

export async function checkNatsServer(environment: NodeJS.ProcessEnv): Promise<Check> {
  const name = 'nats-server';
  let program: string;
  try {
    program = natsServerProgram(environment);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return fault(name, error.message.split(':')[0] ?? error.message, setUpAgain);
  }
  const version = await natsServerVersion(program);
  if (version === null) return fault(name, `${program} can't be run`, setUpAgain);
  if (isAtLeast(version, serverVersionMin)) return ok(name, `${version} (${program})`);
  return fault(name, `${version} (${program}), which is older than ${serverVersionMin}`, setUpAgain);
}

export function checkDisk(home: Home): Check {
  let folder = home.root;
  while (!existsSync(folder)) folder = path.dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const found = `${(free / gibibyte).toFixed(1)} GiB free for ${home.root}`;
  const fix = 'make room, or let COPPICE_HOME name a folder on a larger disk (coppice down first)';
  if (free < freeBytesFault) return fault('disk', found, fix);
  return free < freeBytesWarning ? warning('disk', found, fix) : ok('disk', found);
}

/**
 * Set-up. Installs into this checkout what Coppice needs and this machine lacks, such as npm packages, Node,
 * nats-server and bubblewrap. `npm run demo`, `npm test` and `./coppice` run set-up. It needs Node 20 or newer, but no
 * npm packages. It writes its result to `.cache/setup.json`. With `--json`, it also prints the result. With `--tests`,
 * it also fetches the programs that only tests need.
 */
import { realpathSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findBubblewrap } from './bubblewrap.js';
import { clearLeftovers, openCache } from './cache.js';
import { findContainerEngine } from './container-engine.js';
import { findDockerCompose } from './docker-compose.js';
import { withLock } from './lock.js';
import { ensureNatsServer } from './nats-server.js';
import { ensureNode } from './node.js';
import { ensureNodeModules } from './node-modules.js';
import { lockFile, projectFolder, resultFile } from './paths.js';
import { formatSetupError, say, SetupError } from './report.js';

/**
 * Result of set-up. Paths are absolute. The path of a missing program or engine is null.
 * @typedef {object} SetupResult
 * @property {string} node
 * @property {string} nodeVersion
 * @property {string} natsServer
 * @property {string} natsServerVersion
 * @property {string | null} bwrap path of a bubblewrap that ran a probe command
 * @property {string | null} bwrapVersion
 * @property {string | null} dockerSocket socket of a Docker or Podman daemon whose API answered
 * @property {string | null} dockerVersion
 * @property {string | null} dockerCompose
 * @property {'docker' | 'bubblewrap' | 'none'} engine the first engine found, in the order of this type
 * @property {string[]} tried lines that explain why an engine was not found, one line for each try
 * @property {number | null} uid id of the user that ran this set-up. The result may be wrong for other users, since
 * they may have access to other engines.
 */

/**
 * @param {{ tests: boolean }} options `tests`: also fetch the programs that only tests need
 * @returns {Promise<SetupResult>}
 */
export async function setUp({ tests }) {
  openCache();
  return withLock(lockFile, async () => {
    clearLeftovers();
    ensureNodeModules(projectFolder);
    const node = await ensureNode();
    const natsServer = await ensureNatsServer();
    const docker = await findContainerEngine();
    const bubblewrap = await findBubblewrap();
    const compose = await findDockerCompose({ fetch: tests && docker.found !== undefined });
    /** @type {SetupResult} */
    const result = {
      node: node.path,
      nodeVersion: node.version,
      natsServer: natsServer.path,
      natsServerVersion: natsServer.version,
      bwrap: bubblewrap.found?.path ?? null,
      bwrapVersion: bubblewrap.found?.version ?? null,
      dockerSocket: docker.found?.socket ?? null,
      dockerVersion: docker.found?.version ?? null,
      dockerCompose: compose.found?.path ?? null,
      engine: docker.found !== undefined ? 'docker' : bubblewrap.found !== undefined ? 'bubblewrap' : 'none',
      tried: [
        ...(docker.found === undefined ? docker.tried : []),
        ...(bubblewrap.found === undefined ? bubblewrap.tried : []),
      ],
      uid: process.getuid?.() ?? null,
    };
    const temporary = `${resultFile}.${process.pid}`;
    writeFileSync(temporary, `${JSON.stringify(result, null, 2)}\n`);
    renameSync(temporary, resultFile);
    return result;
  });
}

/** @param {SetupResult} result */
function summarise(result) {
  say(`ready: Node ${result.nodeVersion}, nats-server ${result.natsServerVersion}, ${engineText(result)}`);
  if (result.engine !== 'none') return;
  say('WARNING: no sandbox engine was found, so nothing would protect your files from the commands of agents.');
  for (const line of result.tried) say(`  tried: ${line}`);
  say('  by hand: install Docker, Podman or bubblewrap, and allow this user to use it');
  say('  The demo runs nevertheless, since its model plays a fixed script; "coppice run" requires "--engine none".');
}

/** @param {SetupResult} result */
function engineText(result) {
  const engines = [];
  if (result.dockerSocket !== null) engines.push(`Docker API ${result.dockerVersion} at ${result.dockerSocket}`);
  if (result.bwrap !== null) engines.push(`bubblewrap ${result.bwrapVersion}`);
  return engines.join(', ') || 'no engine';
}

async function main() {
  try {
    const result = await setUp({ tests: process.argv.includes('--tests') });
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    else summarise(result);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    for (const line of formatSetupError(error).split('\n')) say(line);
    process.exitCode = 1;
  }
}

if (process.argv[1] !== undefined && isSameFile(process.argv[1], fileURLToPath(import.meta.url))) await main();

/**
 * @param {string} left
 * @param {string} right
 */
function isSameFile(left, right) {
  try {
    return realpathSync(left) === realpathSync(right);
  } catch {
    return false;
  }
}

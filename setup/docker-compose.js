/** Set-up step that finds or fetches a docker-compose that is new enough for docker-compose.yml. Only tests need it. */
import { join } from 'node:path';
import { hasApt, unpackPackages } from './apt.js';
import { linkProgram } from './cache.js';
import { binFolder, cacheFolder } from './paths.js';
import { lastLines, say } from './report.js';
import { findOnPath, run } from './run.js';
import { dockerComposeVersionMin, isAtLeast, parseVersion } from './versions.js';

/** Docker's folders for plugins. A docker-compose that is installed there as a plugin also runs as a program. */
const pluginFolders = [
  '/usr/local/lib/docker/cli-plugins',
  '/usr/local/libexec/docker/cli-plugins',
  '/usr/lib/docker/cli-plugins',
  '/usr/libexec/docker/cli-plugins',
];

/**
 * @param {{ fetch: boolean }} options `fetch`: fetch docker-compose if it is missing
 * @returns {Promise<{ found?: { path: string, version: string }, tried: readonly string[] }>}
 */
export async function findDockerCompose({ fetch }) {
  /** @type {string[]} */
  const tried = [];
  const link = join(binFolder, 'docker-compose');
  const here = [link, findOnPath('docker-compose'), ...pluginFolders.map((folder) => join(folder, 'docker-compose'))];
  for (const program of here) {
    const found = program === undefined ? undefined : accept(program, tried);
    if (found !== undefined) return { found, tried };
  }
  if (!fetch) return { tried: [...tried, 'docker-compose: not found; only the set-up for tests fetches it'] };
  if (!hasApt())
    return { tried: [...tried, "docker-compose: Debian's package can't be fetched, since apt-get is missing"] };
  say("fetching docker-compose (Debian's package from sid, unpacked into the cache folder)");
  const target = join(cacheFolder, 'deb', 'docker-compose');
  const failure = await unpackPackages({ packages: ['docker-compose'], from: 'sid', target });
  if (failure !== undefined) {
    say(`docker-compose could not be fetched, so the test of docker-compose.yml is skipped: ${failure}`);
    return { tried: [...tried, `docker-compose: ${failure}`] };
  }
  const found = accept(join(target, 'usr/libexec/docker/cli-plugins/docker-compose'), tried);
  if (found === undefined) return { tried };
  return { found: { ...found, path: linkProgram('docker-compose', found.path) }, tried };
}

/**
 * @param {string} program
 * @param {string[]} tried
 */
function accept(program, tried) {
  const result = run(program, ['version', '--short']);
  const version = result.ok ? parseVersion(result.stdout) : undefined;
  if (version !== undefined && isAtLeast(version, dockerComposeVersionMin)) return { path: program, version };
  if (version !== undefined) tried.push(`docker-compose: ${program} is ${version}`);
  else if (findOnPath('docker-compose') === program) {
    tried.push(`docker-compose: ${program} does not run (${lastLines(result.output)})`);
  }
  return undefined;
}

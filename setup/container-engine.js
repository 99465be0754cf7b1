/** Set-up step that finds a Docker or Podman daemon whose API answers. container-service tests at its start whether the engine can run containers. */
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';

const answerTimeoutMs = 5_000;
const answerBytesMax = 1024 * 1024;

/**
 * @typedef {{ socket: string, version: string, apiVersion: string }} ContainerEngine
 * @returns {Promise<{ found?: ContainerEngine, tried: readonly string[] }>}
 */
export async function findContainerEngine() {
  const tried = [];
  for (const socket of socketCandidates(process.env, homedir(), process.getuid?.())) {
    if (!existsSync(socket)) continue;
    try {
      const { Version, ApiVersion } = JSON.parse(await get(socket, '/version'));
      if (typeof Version !== 'string' || typeof ApiVersion !== 'string')
        throw new TypeError('its answer is not the answer of a container engine');
      return { found: { socket, version: Version, apiVersion: ApiVersion }, tried };
    } catch (error) {
      tried.push(`${socket}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (tried.length === 0) tried.push('Docker, Podman: no socket was found');
  return { tried };
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {string} home
 * @param {number | undefined} uid
 * @returns {string[]} sockets in the order in which they are tried, or only the socket that DOCKER_HOST names
 */
export function socketCandidates(env, home, uid) {
  const host = env['DOCKER_HOST'];
  if (host?.startsWith('unix://')) return [host.slice('unix://'.length)];
  const runtime = env['XDG_RUNTIME_DIR'] ?? `/run/user/${uid ?? 0}`;
  return [
    '/var/run/docker.sock',
    join(runtime, 'docker.sock'),
    join(home, '.docker/run/docker.sock'),
    join(home, '.orbstack/run/docker.sock'),
    join(home, '.colima/default/docker.sock'),
    join(runtime, 'podman/podman.sock'),
    '/run/podman/podman.sock',
  ];
}

/**
 * @param {string} socketPath
 * @param {string} path
 * @returns {Promise<string>}
 */
function get(socketPath, path) {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, signal: AbortSignal.timeout(answerTimeoutMs) }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (/** @type {string} */ chunk) => {
        body += chunk;
        if (body.length > answerBytesMax) call.destroy(new Error('its answer is too long'));
      });
      response.on('error', reject);
      response.on('end', () =>
        response.statusCode === 200 ? resolve(body) : reject(new Error(`it answered ${response.statusCode}`)),
      );
    });
    call.on('error', (error) =>
      reject(error.name === 'TimeoutError' ? new Error(`no answer within ${answerTimeoutMs / 1000} s`) : error),
    );
    call.end();
  });
}

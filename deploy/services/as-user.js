/**
 * Starts container-service as the user of the other services and as a member of the Docker socket's group. Usage:
 * `node as-user.js PROGRAM.ts`.
 *
 * The group's id differs between hosts, so docker-compose.yml can't name it. The container therefore starts as root,
 * with only the capabilities to change user and group. This script reads the id of the socket's group and permanently
 * drops root before it loads other code.
 */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const idMax = 2 ** 31 - 1;

/** @param {'COPPICE_UID' | 'COPPICE_GID'} name */
function idFrom(name) {
  const text = process.env[name] ?? '';
  const id = Number(text);
  if (/^\d+$/.test(text) && id >= 1 && id <= idMax) return id;
  process.stderr.write(`${name}: expected a number from 1 to ${idMax}, got ${JSON.stringify(text)}\n`);
  return process.exit(2);
}

const program = process.argv[2];
if (program === undefined) {
  process.stderr.write('usage: node as-user.js PROGRAM.ts\n');
  process.exit(2);
}
if (process.getuid?.() === 0) {
  const [uid, gid] = [idFrom('COPPICE_UID'), idFrom('COPPICE_GID')];
  process.setgroups?.([statSync(process.env['COPPICE_DOCKER_SOCKET'] ?? '/var/run/docker.sock').gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}
process.argv.splice(1, 1);
await import(pathToFileURL(resolve(program)).href);

/**
 * Global set-up of Vitest. Sets environment variables to the paths of the programs that Coppice's set-up found, unless
 * they are already set.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resultFile } from './paths.js';
import type { SetupResult } from './setup.js';

export default function setUpTestEnvironment(): void {
  if (!existsSync(resultFile)) {
    throw new Error('Set-up has not run in this checkout: use "npm test", or run "node setup/setup.js" once.');
  }
  const found = JSON.parse(readFileSync(resultFile, 'utf8')) as SetupResult;
  offer('COPPICE_NODE_PROGRAM', found.node);
  offer('COPPICE_NATS_SERVER', found.natsServer);
  offer('COPPICE_BWRAP', found.bwrap);
  offer('COPPICE_DOCKER_SOCKET', found.dockerSocket);
  offer('COPPICE_DOCKER_COMPOSE', found.dockerCompose);
}

function offer(name: string, value: string | null): void {
  if (process.env[name] === undefined && value !== null) process.env[name] = value;
}

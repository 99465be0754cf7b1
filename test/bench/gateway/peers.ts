/** Installs other gateways from npm at their first use, since they aren't dependencies of the project. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { print } from '../report.ts';

export const peersFolder = path.resolve(import.meta.dirname, '../../../.cache/bench-peers');

const manifest = JSON.stringify({
  private: true,
  dependencies: { '@portkey-ai/gateway': '1.15.2', '@musistudio/llms': '1.0.53' },
  // Portkey's streams fail with the newest versions that its manifest allows.
  overrides: { '@hono/node-server': '1.13.8', hono: '4.9.7' },
});
const installMsMax = 5 * 60_000;

/** @returns true if the peers are installed */
export function installPeers(): boolean {
  const installed = path.join(peersFolder, 'installed.json');
  if (read(installed) === manifest) return true;
  print(`fetching the gateways to compare with into ${peersFolder}`);
  mkdirSync(peersFolder, { recursive: true });
  writeFileSync(path.join(peersFolder, 'package.json'), manifest);
  const options = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock'];
  // Uses the same npm that started this script, if npm started it.
  const npm = process.env['npm_execpath'];
  const [program, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm];
  const { status, stderr } = spawnSync(program, [...first, ...options], {
    cwd: peersFolder,
    encoding: 'utf8',
    timeout: installMsMax,
  });
  if (status === 0) writeFileSync(installed, manifest);
  else print(`they could not be fetched, and are not run: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  return status === 0;
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

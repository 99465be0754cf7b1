/** Starts the targets of the load, each in a separate process. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer } from '@coppice/testing';
import { print } from '../report.ts';
import type { Kind } from './load-plan.ts';
import { freePort } from './free-port.ts';
import { installPeers, peersFolder } from './peers.ts';
import type { Ready } from './ready.ts';

export type Target = {
  name: string;
  url: string;
  headers: Record<string, string>;
  /** See `Load`. */
  bus: string | null;
  modelFor(kind: Kind): string;
  processId: number;
  /** Returns the bytes on the target's heap after a garbage collection. Null if the target can't report them. */
  heapBytes: (() => Promise<number>) | null;
};

export type Targets = AsyncDisposable & { upstream: ChildProcess; direct: Target; others: readonly Target[] };

/** Name in the report of another checkout's gateway (`--against`). */
export const otherCheckout = 'coppice of the other checkout';
const readyMsMax = 60_000;
const plainModel = (kind: Kind): string => (kind === 'paced' ? 'paced' : 'bench-1');

/** @param against root folder of another checkout whose gateway is measured too; null for none */
export async function startTargets(against: string | null): Promise<Targets> {
  await using stack = new AsyncDisposableStack();
  const start = async (program: string, ...given: string[]) => {
    const child = fork(path.resolve(import.meta.dirname, program), given, {
      execArgv: ['--expose-gc'],
      env: { COPPICE_LOG_LEVEL: 'warn', ...process.env },
      stdio,
    });
    stack.defer(() => ended(child));
    const [ready] = (await once(child, 'message', { signal: AbortSignal.timeout(readyMsMax) })) as [Ready];
    return { child, ready };
  };
  const upstream = await start('upstream.ts');
  const at = upstream.ready.url;
  const plain = (name: string, { child, ready }: typeof upstream): Target => ({
    name,
    url: `${ready.url}/v1/chat/completions`,
    headers: {},
    bus: null,
    modelFor: plainModel,
    processId: child.pid ?? 0,
    heapBytes: null,
  });
  const direct = plain('direct', upstream);
  const others = [
    plain('bare proxy', await start('bare-proxy.ts', at)),
    plain('bare proxy, by a handler', await start('bare-proxy.ts', at, 'handler')),
  ];

  const nats = stack.use(await startNats());
  const coppice = await start('coppice.ts', at, nats.servers);
  const modelFor = (kind: Kind) => `bench/${plainModel(kind)}`;
  others.push(
    {
      ...plain('coppice', coppice),
      headers: { authorization: `Bearer ${coppice.ready.token}` },
      modelFor,
      heapBytes: () => heapOf(coppice.child),
    },
    { ...plain('coppice on the bus', coppice), bus: nats.servers, modelFor },
  );
  if (against !== null) {
    const server = stack.use(await startNats()).servers;
    const other = await start(path.resolve(against, 'test/bench/gateway/coppice.ts'), at, server);
    const headers = { authorization: `Bearer ${other.ready.token}` };
    others.push({ ...plain(otherCheckout, other), headers, modelFor });
  }
  if (installPeers()) {
    const musistudio = plain('@musistudio/llms', await start('musistudio.ts', at, peersFolder));
    others.push({ ...musistudio, modelFor: (kind) => `bench,${plainModel(kind)}` }, await portkey(at, stack));
  } else print('not run: @portkey-ai/gateway, @musistudio/llms');
  const running = stack.move();
  return { upstream: upstream.child, direct, others, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

const stdio: ['ignore', 'ignore', 'inherit', 'ipc'] = ['ignore', 'ignore', 'inherit', 'ipc'];

/** Portkey's program doesn't report when it is ready, so this function polls its URL. */
async function portkey(upstream: string, stack: AsyncDisposableStack): Promise<Target> {
  const port = await freePort();
  const program = path.join(peersFolder, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  const environment = { ...process.env, TRUSTED_CUSTOM_HOSTS: '127.0.0.1' };
  const child = fork(program, ['--headless', `--port=${port}`], { env: environment, stdio, execArgv: [] });
  stack.defer(() => ended(child));
  const url = `http://127.0.0.1:${port}`;
  const untilMs = performance.now() + readyMsMax;
  while (
    !(await fetch(url).then(
      () => true,
      () => false,
    ))
  ) {
    if (performance.now() > untilMs) throw new Error('@portkey-ai/gateway did not start');
    await sleep(100);
  }
  return {
    name: '@portkey-ai/gateway',
    url: `${url}/v1/chat/completions`,
    headers: {
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `${upstream}/v1`,
      authorization: 'Bearer none',
    },
    bus: null,
    modelFor: plainModel,
    processId: child.pid ?? 0,
    heapBytes: null,
  };
}

async function startNats() {
  const nats = await startNatsServer();
  return { servers: nats.connection.servers, [Symbol.asyncDispose]: () => nats.stop() };
}

async function heapOf(child: ChildProcess): Promise<number> {
  child.send('heap');
  const [bytes] = (await once(child, 'message')) as [number];
  return bytes;
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** Milliseconds per tick (USER_HZ), the unit in which Linux reports CPU time. */
const tickMs = 10;

/** Returns the CPU milliseconds that a process has used so far. */
export function cpuMsOf(processId: number): number {
  const stat = readFileSync(`/proc/${processId}/stat`, 'utf8');
  // The program's name may contain any character, so only the fields after its closing bracket are split.
  // User time is field 14, and system time is field 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

export function residentBytesOf(processId: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

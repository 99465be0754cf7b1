import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Bus, NotNow } from '@coppice/bus';
import type { CoppiceError } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import { expect, test } from 'vitest';
import { bundlesAtOnce, commandHandlers, endpoints, inspectsAtOnce, fetchPlaces, readsAtOnce } from './handlers.ts';
import { fixture, taskId, write } from './test-support/fixture.ts';
import type { Fixture } from './test-support/fixture.ts';

/** Starts a server that accepts connections and never replies. `end` closes all connections. */
async function silentServer() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const end = () => {
    server.close();
    server.on('connection', (socket: Socket) => socket.destroy());
    for (const socket of sockets) socket.destroy();
  };
  return { sockets, port: (server.address() as AddressInfo).port, end };
}

test('a tenant that inspects many unresponsive repositories gets only a few processes, and other tenants are answered', async () => {
  await using f = await fixture();
  const { sockets, port, end } = await silentServer();
  const [inspect] = endpoints(f.context, undefined as never, { report: null });
  const ask = async (tenant: string, repository: string) =>
    inspect?.handler(
      { tenant, repository, baseBranch: f.repository.branch },
      { tenant: null, subject: '' },
      undefined as never,
    );
  const { perGroup, waitingPerGroupMax } = inspectsAtOnce;
  const refusedMin = 30;
  const refused: CoppiceError[] = [];
  const requests = Array.from({ length: perGroup + waitingPerGroupMax + refusedMin }, (_, number) =>
    ask('acme', `http://127.0.0.1:${port}/${number}.git`).catch((error: CoppiceError) => refused.push(error)),
  );
  await eventually(async () => expect(sockets.size).toBe(perGroup));
  expect(refused).toHaveLength(refusedMin);
  expect(refused[0]).toMatchObject({ code: 'unavailable', retryable: true });
  expect(await ask('other', f.address)).toMatchObject({ baseCommit: await f.repository.head(f.repository.branch) });
  expect(sockets.size).toBe(perGroup);
  end();
  await Promise.all(requests);
}, 60_000);

test('a tenant that prepares from unresponsive servers leaves slots to other tenants', async () => {
  await using f = await fixture();
  const { sockets, port, end } = await silentServer();
  const [handler] = commandHandlers(f.context, fetchPlaces(8));
  const prepare = async (tenant: string, task: string, repository: string) =>
    handler?.run(
      {
        owner: { tenant, runId: 'r', taskId: task },
        repository,
        baseBranch: f.repository.branch,
        slug: 's',
        setupKey: null,
      },
      {
        effectId: `${task}_1`,
        signal: new AbortController().signal,
        takenOver: false,
        queuedMs: 0,
        confirmClaim: async () => {},
      },
    );
  const putOff: unknown[] = [];
  const requests = Array.from({ length: 8 }, (_, number) =>
    prepare('acme', `a${number}`, `http://127.0.0.1:${port}/${number}.git`).catch((error: unknown) => {
      if (error instanceof NotNow) putOff.push(error);
    }),
  );
  await eventually(async () => expect([putOff.length, sockets.size]).toEqual([2, 6]));
  expect(await prepare('other', 'b', f.address)).toMatchObject({ baseCommit: expect.any(String) });
  end();
  await Promise.all(requests);
}, 60_000);

test.each([
  ['diff', readsAtOnce, 1],
  // Each call runs two git processes at once, for the repository and the branch name.
  ['finished-landings', readsAtOnce, 2],
  ['bundle', bundlesAtOnce, 1],
])(
  'many concurrent %s calls of one tenant get only a few processes',
  async (name, { perGroup, waitingPerGroupMax }, processesOfOne) => {
    await using nats = await startNatsServer({ auth: true });
    await using cleanups = new AsyncDisposableStack();
    const bus = cleanups.adopt(await Bus.connect({ ...nats.connection, name: 'test' }), (each) => each.close());
    await bus.ensureResources();
    await using f = await fixture({ files: { 'a.txt': 'a\n' } });
    const baseCommit = await f.repository.head();
    const { tree, branch } = await f.prepared();
    write(tree, 'new.txt', 'new\n');
    const { commit } = (await f.committed()) as { commit: string };
    const landing = {
      repository: f.address,
      branch: f.repository.branch,
      commit,
      finishCommand: `git merge --no-overwrite-ignore ${commit}`,
    };
    const question = {
      tenant: 'acme',
      taskId,
      repository: f.address,
      baseCommit,
      commit,
      branch,
      bytesMax: 1_000,
      isOver: true,
      whole: false,
      landings: [landing],
    };
    const endpoint = endpoints(f.context, bus, { report: null }).find((each) => each.method.name === name);
    const ask = async () => endpoint?.handler(question, { tenant: null, subject: '' }, undefined as never);
    const processes = countedProcesses(f);
    const refusedMin = 5;
    const answers = await Promise.allSettled(Array.from({ length: waitingPerGroupMax + perGroup + refusedMin }, ask));
    expect(processes.peak).toBeGreaterThan(0);
    expect(processes.peak).toBeLessThanOrEqual(perGroup * processesOfOne);
    const refused = answers.flatMap((each) => (each.status === 'rejected' ? [each.reason as CoppiceError] : []));
    expect(refused.length).toBeGreaterThanOrEqual(refusedMin);
    for (const each of refused) expect(each).toMatchObject({ code: 'unavailable' });
    expect(refused.length).toBeLessThan(answers.length);
  },
  60_000,
);

/** Records the maximum number of concurrent git processes from now on. */
function countedProcesses({ context }: Fixture): { peak: number } {
  const { git } = context;
  const run = git.run.bind(git);
  const counted = { now: 0, peak: 0 };
  git.run = async (...given) => {
    counted.now++;
    counted.peak = Math.max(counted.peak, counted.now);
    return run(...given).finally(() => counted.now--);
  };
  return counted;
}

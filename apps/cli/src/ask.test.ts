import { Bus, apiEndpoint } from '@coppice/bus';
import { CoppiceError, api, runIdOf, taskIdOf } from '@coppice/contracts';
import { eventually, startNatsServer, startTcpProxy } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ask } from './ask.ts';
import { taskView } from './test-support/views.ts';

let server: NatsServer;
let bus: Bus;
const runId = runIdOf('default', 'request-1');
const taskId = taskIdOf(runId, 'task');

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'test' });
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

/** Serves a fake orchestrator that executes every request. Its first answer is lost. */
async function serveWithLostAnswer(): Promise<{ received: string[] }> {
  const received: string[] = [];
  const once = async <Answer>(name: string, answer: Answer): Promise<Answer> => {
    received.push(name);
    if (received.length > 1) return answer;
    throw new CoppiceError('deadline-exceeded', 'the answer is lost');
  };
  const view = { ...taskView({ name: 'task', state: 'ready' }), runId, taskId };
  const service = await bus.serve({
    name: 'orchestrator',
    version: '0.1.0',
    description: 'for tests',
    endpoints: [
      apiEndpoint(api.runSubmit, ({ requestId }) =>
        once(requestId, { runId, created: received.length === 0, tasks: [{ name: 'task', taskId }] }),
      ),
      apiEndpoint(api.taskGet, () => once('get', view)),
      apiEndpoint(api.taskMerge, () => once('merge', view)),
    ],
  });
  onTestFinished(() => service.stop());
  return { received };
}

const client = () => ({ bus, tenant: 'default' });
const request = {
  requestId: 'request-1',
  repository: '/repository',
  baseBranch: 'main',
  tasks: [{ name: 'task', description: 'a task', prompt: 'do it' }],
};

test('a run.submit call whose answer was lost is sent again with the same request id', async () => {
  const { received } = await serveWithLostAnswer();
  expect(await ask(client(), api.runSubmit, request)).toMatchObject({ runId, created: false });
  expect(received).toEqual(['request-1', 'request-1']);
});

test('a query whose answer was lost is sent again', async () => {
  const { received } = await serveWithLostAnswer();
  expect(await ask(client(), api.taskGet, { taskId })).toMatchObject({ taskId });
  expect(received).toEqual(['get', 'get']);
});

test('a call that may have taken effect is not repeated, and the error says that no answer came', async () => {
  const { received } = await serveWithLostAnswer();
  await expect(ask(client(), api.taskMerge, { taskId })).rejects.toMatchObject({
    exitCode: 3,
    message:
      'no answer in 0 s; the stack is busy or stopping. It may have taken effect; coppice show reports the state',
  });
  expect(received).toEqual(['merge']);
});

test('a call that was received before the connection broke is repeated only if it is read-only', async () => {
  await using proxy = await startTcpProxy(Number(new URL(server.url).port));
  const user = await Bus.connect({ servers: `127.0.0.1:${proxy.port}`, name: 'user' });
  onTestFinished(() => user.close());
  const view = { ...taskView({ name: 'task', state: 'landing' }), runId, taskId };
  const received: string[] = [];
  // The first call of each method is executed, but its answer is lost.
  const once = async (name: string): Promise<typeof view> => {
    received.push(name);
    if (received.filter((each) => each === name).length > 1) return view;
    const isLost = new Promise<void>((resolve) => user.onLoss(resolve));
    proxy.cut();
    await isLost;
    proxy.heal();
    return view;
  };
  const service = await bus.serve({
    name: 'orchestrator',
    version: '0.1.0',
    description: 'for tests',
    endpoints: [apiEndpoint(api.taskApprove, () => once('approve')), apiEndpoint(api.taskGet, () => once('get'))],
  });
  onTestFinished(() => service.stop());
  const remote = { bus: user, tenant: 'default' };
  await expect(ask(remote, api.taskApprove, { taskId })).rejects.toMatchObject({
    exitCode: 3,
    message: expect.stringContaining('It may have taken effect'),
  });
  expect(await ask(remote, api.taskGet, { taskId })).toMatchObject({ taskId });
  expect(received).toEqual(['approve', 'get', 'get']);
});

test('a call that no service has received is sent again, even if it changes something', async () => {
  const merging = ask(client(), api.taskMerge, { taskId });
  const isLate = merging.then(() => 'too early');
  const { received } = await serveWithLostAnswer();
  received.push('before');
  expect(await isLate).toBe('too early');
  expect(received).toEqual(['before', 'merge']);
});

test('a call stops waiting at once when the stack ends', async () => {
  const end = new AbortController();
  const asking = ask({ ...client(), stackEnded: end.signal }, api.taskGet, { taskId });
  end.abort('the stack has ended');
  await expect(asking).rejects.toMatchObject({
    exitCode: 3,
    message: 'the stack has ended: start one with "coppice up"',
  });
});

test('while the NATS server is down, a call reports that it waits for the NATS server', async () => {
  const other = await startNatsServer();
  onTestFinished(() => other.stop());
  const lonely = await Bus.connect({ ...other.connection, name: 'test' });
  onTestFinished(() => lonely.close());
  await other.stop();
  const waitedFor: string[] = [];
  const left = new AbortController();
  const asking = ask(
    { bus: lonely, tenant: 'default', onWaiting: (waiting) => waitedFor.push(waiting?.what ?? '') },
    api.taskGet,
    { taskId },
    { signal: left.signal },
  );
  asking.catch(() => {});
  await eventually(() => waitedFor.includes('NATS server'), { timeoutMs: 30_000 });
  left.abort();
  await expect(asking).rejects.toMatchObject({ code: 'cancelled' });
});

import { CoppiceError, api, runIdOf, runItself, streams, subjects } from '@coppice/contracts';
import type { DeadLetter } from '@coppice/contracts';
import { readActor } from '@coppice/durable-actor';
import { eventually } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { requestOf, startOrchestratorAlone } from './test-support/orchestrator-alone.ts';
import type { OrchestratorAlone } from './test-support/orchestrator-alone.ts';

/** Tests runs of publishers that don't wait for an answer, from the request to the end of the run. */
let alone: OrchestratorAlone;
beforeAll(async () => {
  alone = await startOrchestratorAlone();
}, 30_000);
afterEach(() => alone.services.reset());
afterAll(() => alone?.stop());

const intake = subjects.intake('acme');
const exists = (runId: string) =>
  eventually(() => readActor(alone.bus, 'run', `acme.${runId}`), { timeoutMs: 20_000, description: 'the run' });
const letters = async (): Promise<DeadLetter[]> => {
  const stored = await Array.fromAsync(alone.bus.read(streams.deadLetters, subjects.deadLetter('intake', 'acme')));
  return stored.map((message) => message.json() as DeadLetter);
};

test('a request becomes a run that its publisher finds by tenant and requestId', async () => {
  const request = requestOf([{ name: 'a' }]);
  await alone.bus.publish(intake, request);
  const runId = runIdOf('acme', request.requestId);
  await exists(runId);
  expect((await alone.ended(runId)).tasks).toMatchObject([{ name: 'a', state: 'merged' }]);
  await eventually(async () => expect(await alone.bus.storedMessages(streams.intake)).toBe(0));
});

test('a request that was sent both ways, and twice, is one run', async () => {
  const request = requestOf([{ name: 'a' }]);
  await alone.bus.publish(intake, request);
  await alone.bus.publish(intake, request);
  const { runId, tasks } = await alone.bus.call(api.runSubmit, { tenant: 'acme' }, request);
  await alone.ended(runId);
  await eventually(async () => expect(await alone.bus.storedMessages(streams.intake)).toBe(0));
  const submitted = (await alone.events(runId)).filter(({ type }) => type === 'coppice.run-submitted');
  expect(submitted).toHaveLength(1);
  const prepared = alone.services.namesOf(tasks[0]?.taskId ?? '').filter((name) => name === 'worktree.prepare');
  expect(prepared).toHaveLength(1);
});

test('a request that fails for now is handled again later, with nothing refused', async () => {
  let calls = 0;
  alone.services.onCall('worktree.inspect', ({ repository }) => {
    // The first handling of the request makes five calls, which all fail.
    if (++calls <= 5) throw new CoppiceError('disk-full', 'no space');
    return { repositoryId: 'r', repository, baseCommit: 'base' };
  });
  const request = requestOf([{ name: 'a' }]);
  await alone.bus.publish(intake, request);
  const runId = runIdOf('acme', request.requestId);
  await exists(runId);
  expect(calls).toBe(6);
  expect((await alone.ended(runId)).state).toBe('succeeded');
  expect(await alone.bus.storedMessages(streams.deadLetters)).toBe(0);
  await eventually(async () => expect(await alone.bus.storedMessages(streams.intakeLater)).toBe(0));
});

test('a request that can’t succeed is a dead letter, and an event says why', async () => {
  alone.services.onCall('worktree.inspect', () => {
    throw new CoppiceError('branch-not-found', 'there is no branch main');
  });
  const request = requestOf([{ name: 'a' }]);
  await alone.bus.publish(intake, request);
  const runId = runIdOf('acme', request.requestId);
  const [event] = await eventually(async () => {
    const events = await alone.events(runId);
    return events.length > 0 && events;
  });
  const failure = { code: 'branch-not-found', message: 'run.submit: baseBranch: there is no branch main' };
  expect(event).toMatchObject({
    type: 'coppice.run-refused',
    data: { runId, requestId: request.requestId, failure },
  });
  expect((await letters()).at(-1)).toMatchObject({ reason: failure });
  expect(await readActor(alone.bus, 'run', `acme.${runId}`)).toBeNull();
});

test('another request with the id of a run is refused with that run’s id, and the run goes on', async () => {
  const request = requestOf([{ name: 'a' }]);
  const turn = alone.services.hold('model.turn');
  const { runId } = await alone.bus.call(api.runSubmit, { tenant: 'acme' }, request);
  await alone.bus.publish(intake, { ...request, concurrency: 9 });
  const refused = subjects.event('acme', runId, runItself, 'run-refused');
  const [event] = await eventually(async () => {
    const found = await Array.fromAsync(alone.bus.read(streams.events, refused));
    return found.length > 0 && found;
  });
  expect(event?.json()).toMatchObject({ data: { runId, failure: { code: 'already-exists', details: { runId } } } });
  turn.release();
  expect(await alone.ended(runId)).toMatchObject({ state: 'succeeded', concurrency: 4 });
});

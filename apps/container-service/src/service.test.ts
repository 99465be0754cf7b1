import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buckets, type CommandResult, type Outcome, type SandboxSpecification } from '@coppice/contracts';
import { startService, type StartedService } from '@coppice/service';
import { eventually, startNatsServer, temporaryFolder, type NatsServer, type TemporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { isRequired, testImagesFolder } from './engine/conformance-fixture.ts';
import { startContainerService, type ContainerWork } from './index.ts';
import { ownerOf, specificationIn, startOrchestrator, tenant, type Orchestrator } from './test-support/orchestrator.ts';

let folder: TemporaryFolder;
let nats: NatsServer;
let orchestrator: Orchestrator;
let service: StartedService | undefined;
let work: ContainerWork | undefined;
let whyNot: string | undefined;

const startIt = () =>
  startService({
    name: 'container-service',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: async (context) =>
      (work = await startContainerService(context, {
        dataFolder: folder.path,
        imagesFolder: testImagesFolder,
        dockerSocket: process.env['COPPICE_DOCKER_SOCKET'],
        bubblewrapProgram: process.env['COPPICE_BWRAP'],
      })),
  });

beforeAll(async () => {
  folder = await temporaryFolder('container-service');
  nats = await startNatsServer({ auth: true });
  orchestrator = await startOrchestrator(nats);
  service = await startIt().catch((error: Error) => {
    whyNot = error.message;
    return undefined;
  });
});
afterAll(async () => {
  await service?.stop();
  await orchestrator.close();
  await nats.stop();
  await folder.remove();
});
beforeEach((context) => {
  if (whyNot === undefined) return;
  if (isRequired('docker') || isRequired('bubblewrap')) throw new Error(whyNot);
  context.skip(whyNot);
});

let count = 0;
/** Makes a task that no other test uses, with the operations on its sandbox. */
async function newTask(overrides: Partial<SandboxSpecification> = {}) {
  count++;
  const taskId = `t${'a'.repeat(14)}${String.fromCodePoint(97 + Math.floor(count / 26), 97 + (count % 26))}`;
  const specification = await specificationIn(folder.path, taskId, overrides);
  const { sandboxId } = specification;
  let effects = 0;
  const effectId = () => `task_${taskId}_1_${++effects}`;
  const owner = ownerOf(taskId);
  return {
    taskId,
    effectId,
    specification,
    workspace: specification.mounts[0]?.source ?? '',
    create: () => orchestrator.done(effectId(), 'create', specification),
    exec: (shell: string, more: object = {}) =>
      orchestrator.done<CommandResult>(effectId(), 'exec', {
        owner,
        sandboxId,
        command: { shell, timeLimitMs: 20_000, ...more },
      }),
    input: (operation: 'exec' | 'write' | 'remove', rest: object = {}) => ({ operation, owner, sandboxId, ...rest }),
    remove: () => orchestrator.done(effectId(), 'remove', { owner, sandboxId }),
  };
}

const failure = (outcome: Outcome) => (outcome.status === 'failed' ? outcome.error : undefined);

test('reports the chosen engine and what it enforces', () => {
  expect(['docker', 'bubblewrap']).toContain(work?.report.engine);
  expect(work?.report.enforces.networkNone.enforced).toBe(true);
});

test('a command that wrote too much fails, even if it ended before the first disk check', async () => {
  const task = await newTask();
  await task.create();
  const result = await task.exec('for i in 1 2 3 4 5; do head -c 16000000 /dev/zero > ~/big$i; done');
  expect(result.exitCode).not.toBe(0);
  expect(result.standardError).toContain('disk limit');
  expect((await task.exec('rm ~/big*')).exitCode).toBe(0);
  await task.remove();
});

test('a sandbox is created, used for a write and a command, and removed', async () => {
  const task = await newTask();
  expect(await task.create()).toEqual({
    sandboxId: task.specification.sandboxId,
    engine: work?.report.engine,
    node: 'here',
  });
  const written = await orchestrator.done(
    task.effectId(),
    'write',
    task.input('write', { path: 'docs/a.md', content: { text: 'ünï\n' } }),
  );
  expect(written).toEqual({ bytes: 6 });
  expect(await readFile(join(task.workspace, 'docs/a.md'), 'utf8')).toBe('ünï\n');
  const result = await task.exec('cat docs/a.md; echo "$COPPICE_TASK_ID $OF_TASK"; cat; echo err >&2; exit 3', {
    standardInput: { text: 'from stdin\n' },
  });
  expect(result).toMatchObject({
    exitCode: 3,
    signal: null,
    timedOut: false,
    outOfMemory: false,
    standardOutput: `ünï\n${task.taskId} yes\nfrom stdin\n`,
    standardError: 'err\n',
    logArtifact: null,
  });
  await task.remove();
  await task.remove();
  await orchestrator.order(
    'task_x_1_gone',
    'exec',
    task.input('exec', { command: { shell: 'true', timeLimitMs: 1_000 } }),
  );
  expect(failure(await orchestrator.resultOf('task_x_1_gone'))).toMatchObject({ code: 'sandbox-not-found' });
});

test('live output is published on the task’s log, in order', async () => {
  const task = await newTask();
  await task.create();
  await task.exec(
    'for i in 1 2 3; do echo line $i; sleep 0.1; done; printf "\\303"; sleep 0.2; printf "\\274\\n"; echo bad >&2',
  );
  const chunks = await eventually(async () => {
    const found = await orchestrator.logOf(task.taskId);
    return found.some(({ stream }) => stream === 'stderr') ? found : undefined;
  });
  expect(chunks.length).toBeGreaterThan(2);
  const textOf = (wanted: string) =>
    chunks
      .filter(({ stream }) => stream === wanted)
      .map(({ text }) => text)
      .join('');
  expect(textOf('stdout')).toBe('line 1\nline 2\nline 3\nü\n');
  expect(textOf('stderr')).toBe('bad\n');
  await task.remove();
});

test('very long output is shortened, and stored completely as an artifact', async () => {
  const task = await newTask();
  await task.create();
  const result = await task.exec(`perl -e 'print "$_\\n" for 1..200000'`);
  expect(result.standardOutput.length).toBeLessThan(33 * 1024);
  expect(result.standardOutput).toContain('bytes left out');
  const store = await orchestrator.bus.objects(buckets.artifacts);
  const bytes = await store.get(result.logArtifact ?? '');
  expect(result.logArtifact).toContain(`log/${tenant}/${task.taskId}/`);
  expect(
    new TextDecoder()
      .decode(bytes ?? undefined)
      .trim()
      .split('\n'),
  ).toHaveLength(200_000);
  await task.remove();
});

test('a time limit and a cancellation end the command', async () => {
  const task = await newTask();
  await task.create();
  const timed = await task.exec('sleep 60', { timeLimitMs: 500 });
  expect(timed).toMatchObject({ exitCode: null, signal: 'SIGKILL', timedOut: true });
  const effectId = task.effectId();
  await orchestrator.order(
    effectId,
    'exec',
    task.input('exec', { command: { shell: 'touch begun; sleep 60', timeLimitMs: 60_000 } }),
  );
  await eventually(() =>
    readFile(join(task.workspace, 'begun')).then(
      () => true,
      () => undefined,
    ),
  );
  orchestrator.cancel(effectId);
  expect(failure(await orchestrator.resultOf(effectId))).toMatchObject({ code: 'cancelled' });
  await task.remove();
});

test('a redelivered command returns its result again but runs only once', async () => {
  const task = await newTask();
  await task.create();
  const effectId = task.effectId();
  const input = task.input('exec', { command: { shell: 'echo ran >> runs; cat runs', timeLimitMs: 5_000 } });
  await orchestrator.order(effectId, 'exec', input);
  const first = await orchestrator.resultOf(effectId);
  await orchestrator.order(effectId, 'exec', input);
  await eventually(async () =>
    (await orchestrator.bus.backlog('coppice-commands', 'container-service-any')).unacknowledged === 0
      ? true
      : undefined,
  );
  expect(first).toMatchObject({ status: 'done', output: { standardOutput: 'ran\n' } });
  expect(await readFile(join(task.workspace, 'runs'), 'utf8')).toBe('ran\n');
  await task.remove();
});

test('run leaves no sandbox; its command can not write to a read-only mount', async () => {
  const task = await newTask();
  await writeFile(join(folder.path, 'shared'), 'shared\n');
  const specification = {
    ...task.specification,
    mounts: [
      ...task.specification.mounts,
      { source: join(folder.path, 'shared'), target: '/data/shared', readOnly: true },
    ],
  };
  const command = { shell: 'cat /data/shared; echo x > /data/shared', timeLimitMs: 10_000 };
  const result = await orchestrator.done<CommandResult>(task.effectId(), 'run', { specification, command });
  expect(result).toMatchObject({ standardOutput: 'shared\n' });
  expect(result.exitCode).toBeGreaterThan(0);
  await orchestrator.order(
    'task_y_1_gone',
    'exec',
    task.input('exec', { command: { shell: 'true', timeLimitMs: 1_000 } }),
  );
  expect(failure(await orchestrator.resultOf('task_y_1_gone'))).toMatchObject({ code: 'sandbox-not-found' });
});

test('a specification that breaks a rule is rejected, and the error says what is wrong and why', async () => {
  const cases: [Partial<SandboxSpecification>, string, RegExp][] = [
    [{ mounts: [] }, 'sandbox-refused', /\/workspace/],
    [{ mounts: [{ source: '/etc', target: '/workspace', readOnly: true }] }, 'sandbox-refused', /outside/],
    [{ limits: { memoryBytes: 1, cpus: 1, pids: 10, scratchBytes: 1_000_000 } }, 'sandbox-refused', /memoryBytes is 1/],
    [{ image: 'no-such-image-anywhere.invalid/x' }, 'image-not-found', /no-such-image/],
  ];
  for (const [overrides, code, message] of cases) {
    const task = await newTask(overrides);
    const effectId = task.effectId();
    await orchestrator.order(effectId, 'create', task.specification);
    expect(failure(await orchestrator.resultOf(effectId))).toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  }
});

test('a service can use a sandbox that was created before the service started', async () => {
  const task = await newTask();
  await task.create();
  await task.exec('echo kept > ~/kept');
  await service?.stop();
  service = await startIt();
  expect(await task.exec('cat ~/kept')).toMatchObject({ standardOutput: 'kept\n' });
  await task.remove();
});

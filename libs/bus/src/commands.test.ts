import { CoppiceError, sandboxOperations, streams, subjects } from '@coppice/contracts';
import type { ActorMessage, CommandMessage } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Bus, Claims, NotNow, cancelSubject, handle, hashInput, joinMembers, serveCommands } from './index.ts';
import type { CommandHandler, CommandServer, Membership } from './index.ts';

let server: NatsServer;
let bus: Bus;
let member: Membership;
let running: CommandServer | null = null;
let counter = 0;

beforeAll(async () => {
  server = await startNatsServer({ auth: true });
  bus = await Bus.connect({ ...server.connection, name: 'commands-test', lostAfterMs: 1_500 });
  await bus.ensureResources();
  member = await joinMembers(bus, { service: 'container-service', node: 'test' });
});
afterEach(async () => {
  await running?.stop();
  running = null;
});
afterAll(async () => {
  await member.leave();
  await bus.close();
  await server.stop();
});

const owner = { tenant: 'default', runId: 'r', taskId: 't' };
const execInput = { owner, sandboxId: 's', command: { shell: 'true', timeLimitMs: 1_000 } };
const execOutput = {
  exitCode: 0,
  signal: null,
  timedOut: false,
  outOfMemory: false,
  standardOutput: '',
  standardError: '',
  logArtifact: null,
  durationMs: 1,
};
const serveWith = async (...handlers: CommandHandler[]) => {
  running = await serveCommands(bus, {
    service: 'container-service',
    pools: ['any'],
    concurrency: 4,
    member,
    handlers,
  });
};
const order = async (operation: string, input: unknown, overrides: Partial<CommandMessage> = {}): Promise<string> => {
  const effectId = overrides.effectId ?? `test_actor_0_${counter++}`;
  const command = {
    effectId,
    replyTo: { kind: 'test', id: effectId.replaceAll('_', '-') },
    input,
    issuedAt: new Date().toISOString(),
  };
  await bus.publish(subjects.command('container-service', 'any', operation), { ...command, ...overrides });
  return effectId;
};
const results = async (effectId: string): Promise<ActorMessage[]> => {
  const found: ActorMessage[] = [];
  for await (const message of bus.browse(streams.actors, subjects.actor('test', effectId.replaceAll('_', '-')))) {
    found.push(message.json() as ActorMessage);
  }
  return found;
};
// Nobody consumes the inbox in this test, so the results stay readable.
const result = async (effectId: string): Promise<ActorMessage> => {
  await expect.poll(async () => (await results(effectId)).length, { timeout: 15_000 }).toBeGreaterThan(0);
  return (await results(effectId))[0] as ActorMessage;
};

const lettersOf = async (): Promise<number> => {
  let count = 0;
  for await (const letter of bus.read(streams.deadLetters, subjects.deadLetter('container-service')))
    count += letter.sequence > 0 ? 1 : 0;
  return count;
};

describe('a command', () => {
  test('runs, and its result is stored in the inbox', async () => {
    await serveWith(handle(sandboxOperations.remove, async () => ({})));
    const effectId = await order('remove', { owner, sandboxId: 's' });
    expect(await result(effectId)).toEqual({
      type: 'result',
      effectId,
      outcome: { status: 'done', output: {} },
      queuedMs: expect.any(Number) as number,
      workedMs: expect.any(Number) as number,
    });
  });

  test('with an invalid input, an unknown operation or a failing handler reports the error to its actor', async () => {
    await serveWith(
      handle(sandboxOperations.remove, async () => {
        throw new CoppiceError('sandbox-failed', 'the engine said no');
      }),
    );
    const wrong = await order('remove', { owner });
    const unknown = await order('levitate', {});
    const failing = await order('remove', { owner, sandboxId: 's' });
    expect(await result(wrong)).toMatchObject({ outcome: { status: 'failed', error: { code: 'invalid-request' } } });
    expect(await result(unknown)).toMatchObject({ outcome: { status: 'failed', error: { code: 'not-found' } } });
    expect(await result(failing)).toMatchObject({
      outcome: { status: 'failed', error: { code: 'sandbox-failed', message: 'the engine said no', retryable: true } },
    });
  });

  test('that is older than 7 days becomes a dead letter, and its actor is notified', async () => {
    await serveWith(handle(sandboxOperations.remove, async () => ({})));
    const effectId = await order('remove', { owner, sandboxId: 's' }, { issuedAt: '2020-01-01T00:00:00Z' });
    expect(await result(effectId)).toMatchObject({ outcome: { status: 'failed', error: { code: 'expired' } } });
  });

  test('with an invalid reply address becomes one dead letter', async () => {
    await serveWith(handle(sandboxOperations.remove, async () => ({})));
    const before = await lettersOf();
    await order('remove', { owner, sandboxId: 's' }, { replyTo: { kind: 'a b', id: 'x' } });
    await expect.poll(lettersOf).toBe(before + 1);
    await expect
      .poll(() => bus.backlog(streams.commands, 'container-service-any'))
      .toEqual({ pending: 0, unacknowledged: 0 });
  });

  test("that isn't a command becomes a dead letter", async () => {
    await serveWith();
    await bus.publish(subjects.command('container-service', 'any', 'remove'), new TextEncoder().encode('garbage'));
    await expect
      .poll(async () => {
        const letters = [];
        for await (const letter of bus.read(streams.deadLetters, subjects.deadLetter('container-service')))
          letters.push(letter.json());
        return letters;
      })
      .toContainEqual(expect.objectContaining({ data: Buffer.from('garbage').toString('base64') }));
  });
});

describe('a claimed operation', () => {
  test('that is sent twice runs once', async () => {
    let times = 0;
    await serveWith(
      handle(sandboxOperations.exec, async () => {
        times++;
        await new Promise((resolve) => setTimeout(resolve, 100));
        return execOutput;
      }),
    );
    const effectId = await order('exec', execInput);
    await result(effectId);
    await order('exec', execInput, { effectId });
    await expect
      .poll(async () => (await bus.backlog(streams.commands, 'container-service-any')).unacknowledged)
      .toBe(0);
    expect(times).toBe(1);
  });

  test("that a running process works on isn't started again", async () => {
    let times = 0;
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    await serveWith(
      handle(sandboxOperations.exec, async () => {
        times++;
        await finished;
        return execOutput;
      }),
    );
    const effectId = await order('exec', execInput);
    await expect.poll(() => times).toBe(1);
    await order('exec', execInput, { effectId });
    await new Promise((resolve) => setTimeout(resolve, 300));
    finish();
    expect(await result(effectId)).toMatchObject({ outcome: { status: 'done' } });
    expect(times).toBe(1);
  });

  test("that is postponed keeps its sender's trace and counts its deliveries", async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    await serveWith(handle(sandboxOperations.exec, () => finished.then(() => execOutput)));
    const effectId = await order('exec', execInput);
    await expect.poll(async () => (await claims().look(effectId))?.claim.state).toBe('started');
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const again = {
      effectId,
      replyTo: { kind: 'test', id: 'again' },
      input: execInput,
      issuedAt: new Date().toISOString(),
    };
    const headers = { traceparent };
    await bus.publish(subjects.command('container-service', 'any', 'exec'), again, { headers });
    const waiting = async () => {
      for await (const message of bus.browse(streams.commands, subjects.commandLater('container-service', effectId)))
        return message.headers;
      return null;
    };
    await expect.poll(waiting).toMatchObject({ traceparent, 'coppice-earlier-deliveries': '1' });
    finish();
    await result(effectId);
  });

  const claims = () => new Claims(bus, async () => true);

  test('that a lost owner had started ends as unknown, unless its result can be recovered', async () => {
    let recovered: typeof execOutput | null = null;
    await serveWith(
      handle(
        sandboxOperations.exec,
        async () => execOutput,
        async () => recovered,
      ),
    );
    const lost = `test_lost_0_${counter++}`;
    await claims().begin(lost, 'nobody', hashInput(execInput));
    await order('exec', execInput, { effectId: lost });
    expect(await result(lost)).toMatchObject({ outcome: { status: 'failed', error: { code: 'unknown' } } });

    recovered = { ...execOutput, exitCode: 7 };
    const found = `test_lost_0_${counter++}`;
    await claims().begin(found, 'nobody', hashInput(execInput));
    await order('exec', execInput, { effectId: found });
    expect(await result(found)).toMatchObject({ outcome: { status: 'done', output: { exitCode: 7 } } });
  });

  test("is postponed, not failed, while it can't be found out whether the lost owner had finished", async () => {
    let looks = 0;
    await serveWith(
      handle(
        sandboxOperations.exec,
        async () => execOutput,
        async () => {
          if (++looks < 2) throw new CoppiceError('unavailable', 'the servers choose a leader');
          return { ...execOutput, exitCode: 7 };
        },
      ),
    );
    const found = `test_lost_0_${counter++}`;
    await claims().begin(found, 'nobody', hashInput(execInput));
    await order('exec', execInput, { effectId: found });
    expect(await result(found)).toMatchObject({ outcome: { status: 'done', output: { exitCode: 7 } } });
    expect(looks).toBe(2);
  });

  test('with a result that is too large for the claim fails at once with limit-exceeded', async () => {
    await serveWith(
      handle(sandboxOperations.exec, async () => ({ ...execOutput, standardOutput: 'x'.repeat(400 * 1024) })),
    );
    const effectId = await order('exec', execInput);
    expect(await result(effectId)).toMatchObject({ outcome: { status: 'failed', error: { code: 'limit-exceeded' } } });
  });

  test('with the policy `rerun` is run again by the process that takes it over', async () => {
    const specification = {
      owner,
      sandboxId: 's',
      image: 'i',
      mounts: [],
      network: 'none',
      limits: { memoryBytes: 1, cpus: 1, pids: 1, scratchBytes: 1 },
      environment: {},
    };
    const input = { specification, command: execInput.command };
    const rerunOperation = { ...sandboxOperations.run, repeat: { kind: 'claimed', lostOwner: 'rerun' } as const };
    await serveWith(
      handle(rerunOperation, async (_input, context) => ({
        ...execOutput,
        exitCode: context.takenOver ? 3 : 0,
      })),
    );
    const effectId = `test_lost_0_${counter++}`;
    await claims().begin(effectId, 'nobody', hashInput(input));
    await order('run', input, { effectId });
    expect(await result(effectId)).toMatchObject({ outcome: { status: 'done', output: { exitCode: 3 } } });
  });

  test("that is cancelled before its start doesn't start; one that is cancelled later is aborted", async () => {
    let began = 0;
    await serveWith(
      handle(sandboxOperations.exec, async (_input, { signal }) => {
        began++;
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        return execOutput;
      }),
    );
    const before = `test_cancel_0_${counter++}`;
    expect(await claims().cancel(before)).toEqual({ state: 'cancelled' });
    await order('exec', execInput, { effectId: before });
    expect(await result(before)).toMatchObject({ outcome: { status: 'failed', error: { code: 'cancelled' } } });
    expect(began).toBe(0);

    const later = await order('exec', execInput);
    await expect.poll(() => began).toBe(1);
    expect(await claims().cancel(later)).toMatchObject({ state: 'started' });
    bus.publishCore(cancelSubject(later), {});
    expect(await result(later)).toMatchObject({ outcome: { status: 'failed', error: { code: 'cancelled' } } });
  });

  test('whose claim was taken over during its run reports no result', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let began = 0;
    await serveWith(
      handle(sandboxOperations.exec, async () => {
        began++;
        await released;
        return execOutput;
      }),
    );
    const effectId = await order('exec', execInput);
    await expect.poll(() => began).toBe(1);
    expect(await claims().begin(effectId, 'another', hashInput(execInput))).toMatchObject({
      status: 'held',
      takenOver: true,
    });
    release();
    await expect
      .poll(async () => (await bus.backlog(streams.commands, 'container-service-any')).unacknowledged)
      .toBe(0);
    expect(await results(effectId)).toEqual([]);
  });
});

test("a command whose handler can't start it now runs later", async () => {
  let tries = 0;
  await serveWith(
    handle(sandboxOperations.remove, async () => {
      tries++;
      if (tries === 1) throw new NotNow('no place');
      return {};
    }),
  );
  expect(await result(await order('remove', { owner, sandboxId: 's' }))).toMatchObject({ outcome: { status: 'done' } });
  expect(tries).toBe(2);
});

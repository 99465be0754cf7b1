import { api, CoppiceError, deadLettersKept, streams, subjects, jsonSchemaOf } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bus, RevisionConflict, UnsuitableServer, apiEndpoint, busLimits, requireVersion } from './index.ts';
import type { Delivery } from './index.ts';

let server: NatsServer;
let bus: Bus;

beforeAll(async () => {
  server = await startNatsServer({ auth: true });
  bus = await Bus.connect({ ...server.connection, name: 'bus-test' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus.close();
  await server.stop();
});

const text = (value: string) => new TextEncoder().encode(value);
const collect = async <Item>(items: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
};

/** Returns a stream's number of consumers. Undefined if the server doesn't report the stream. */
async function consumersOf(stream: string): Promise<number | undefined> {
  type JetStreamReport = {
    account_details: { stream_detail: { name: string; state: { consumer_count: number } }[] }[];
  };
  const report = (await (await fetch(`${server.monitoringUrl}/jsz?streams=true`)).json()) as JetStreamReport;
  const all = report.account_details.flatMap((account) => account.stream_detail);
  return all.find(({ name }) => name === stream)?.state.consumer_count;
}

describe('connecting', () => {
  test('a server that is too old is refused, with the required version', () => {
    expect(() => requireVersion('2.11.9')).toThrow(UnsuitableServer);
    expect(() => requireVersion('2.11.9')).toThrow(/2\.11\.9 is too old: Coppice needs 2\.12\.0/);
    expect(() => requireVersion('2.12.0-RC.1')).not.toThrow();
    expect(() => requireVersion('3.0.0')).not.toThrow();
  });

  test('a wrong password is refused with permission-denied', async () => {
    const attempt = Bus.connect({ servers: server.url, name: 'intruder', user: 'coppice', password: 'wrong' });
    await expect(attempt).rejects.toMatchObject({ code: 'permission-denied' });
  });

  test('a cluster without a leader is unavailable, so that a starting process waits for it', async () => {
    const routes = 'routes: ["nats://127.0.0.1:9"]';
    const alone = await startNatsServer({
      config: () => `server_name: alone\ncluster { name: lonely, listen: "127.0.0.1:-1", ${routes} }\n`,
    });
    const attempt = Bus.connect({ ...alone.connection, name: 'early' });
    await expect(attempt).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^JetStream at .* does not answer/),
    });
    await alone.stop();
  });

  test('creating the resources again, even twice at once, keeps their content', async () => {
    const subject = subjects.event('default', 'r0', 'run', 'run-submitted');
    await bus.publish(subject, { kept: true });
    await Promise.all([bus.ensureResources(), bus.ensureResources()]);
    expect((await collect(bus.read(streams.events, subject))).map((message) => message.json())).toEqual([
      { kept: true },
    ]);
  });
});

describe('key-value', () => {
  test('a failed compare-and-set is a conflict', async () => {
    const values = bus.keyValue('coppice-actors');
    const revision = await values.create('kind.one', text('a'));
    await expect(values.create('kind.one', text('b'))).rejects.toBeInstanceOf(RevisionConflict);
    const next = await values.update('kind.one', text('c'), revision);
    await expect(values.update('kind.one', text('d'), revision)).rejects.toBeInstanceOf(RevisionConflict);
    expect(await values.get('kind.one')).toMatchObject({ revision: next, value: text('c') });
    expect(await values.get('kind.absent')).toBeNull();
  });

  test('only one of many concurrent creates succeeds', async () => {
    const values = bus.keyValue('coppice-effects');
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, () => values.create('race', text('x'), { ttlMs: 60_000 })),
    );
    expect(tries.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
  });

  test('a deleted key reads as absent and can be created again', async () => {
    const values = bus.keyValue('coppice-members');
    await values.put('member', text('x'), { ttlMs: 60_000 });
    await values.delete('member');
    expect(await values.get('member')).toBeNull();
    await values.create('member', text('y'));
    expect(await values.get('member')).toMatchObject({ value: text('y') });
  });

  test('a key with a time to live expires', async () => {
    const values = bus.keyValue('coppice-members');
    await values.put('brief', text('x'), { ttlMs: 1_000 });
    expect(await values.get('brief')).not.toBeNull();
    await expect.poll(() => values.get('brief'), { timeout: 10_000 }).toBeNull();
  });

  test('keys are listed by pattern', async () => {
    const values = bus.keyValue('coppice-actors');
    await values.create('list.default.a', text('1'));
    await values.create('list.other.b', text('1'));
    expect(await collect(values.keys('list.default.*'))).toEqual(['list.default.a']);
    expect(await collect(values.keys('list.nobody.*'))).toEqual([]);
  });

  test('each key is listed once, without deleted keys, and a listing leaves no consumer on the server', async () => {
    const values = bus.keyValue('coppice-actors');
    const revision = await values.create('listed.a', text('1'));
    await values.create('listed.b', text('1'));
    await values.update('listed.a', text('2'), revision);
    await values.create('listed.c', text('1'));
    await values.delete('listed.c');
    for (let count = 0; count < 5; count++)
      expect((await collect(values.keys('listed.*'))).toSorted()).toEqual(['listed.a', 'listed.b']);
    await expect.poll(() => consumersOf('KV_coppice-actors'), { timeout: 10_000 }).toBe(0);
  });

  test('all keys are listed, even more than one pull returns', async () => {
    const values = bus.keyValue('coppice-actors');
    const keys = Array.from({ length: busLimits.keyBatch + 10 }, (_, index) => `many.k${index}`);
    await Promise.all(keys.map((key) => values.put(key, text('1'))));
    expect((await collect(values.keys('many.*'))).toSorted()).toEqual(keys.toSorted());
  });
});

describe('streams', () => {
  test('the same message id is stored once', async () => {
    const subject = subjects.event('default', 'r1', 'run', 'run-submitted');
    const first = await bus.publish(subject, { n: 1 }, { messageId: 'event-1' });
    const second = await bus.publish(subject, { n: 1 }, { messageId: 'event-1' });
    expect([first.duplicate, second.duplicate]).toEqual([false, true]);
    const stored = await collect(bus.read(streams.events, subject));
    expect(stored.map((message) => message.json())).toEqual([{ n: 1 }]);
  });

  test('reading an empty subject ends at once', async () => {
    expect(await collect(bus.read(streams.events, subjects.event('default', 'none', '*', '*')))).toEqual([]);
  });

  test('a live read continues with new messages', async () => {
    const subject = subjects.event('default', 'r2', 'run', 'run-submitted');
    await bus.publish(subject, { n: 1 });
    const abort = new AbortController();
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const message of bus.read(streams.events, subject, { live: true, signal: abort.signal })) {
        seen.push(message.json());
        if (seen.length === 1) await bus.publish(subject, { n: 2 });
        if (seen.length === 2) abort.abort();
      }
    })();
    await reading;
    expect(seen).toEqual([{ n: 1 }, { n: 2 }]);
  });

  test('a scheduled message is delivered at its time, once, and a purge cancels it', async () => {
    const target = subjects.actor('clock', 'a');
    const deliveries: unknown[] = [];
    const consumption = await bus.consume(
      {
        stream: streams.actors,
        durable: 'clock',
        filterSubject: 'coppice.actor.clock.>',
        ackWaitMs: 5_000,
        concurrency: 2,
      },
      async (delivery) => {
        deliveries.push(delivery.json());
        await delivery.acknowledge();
      },
    );
    const at = new Date(Date.now() + 700);
    await bus.publish(subjects.timer('clock', 'a', 'e1'), { timer: 'kept' }, { schedule: { at, target } });
    await bus.publish(subjects.timer('clock', 'a', 'e2'), { timer: 'cancelled' }, { schedule: { at, target } });
    expect(await bus.purge(streams.actors, subjects.timer('clock', 'a', 'e2'))).toBe(1);
    await expect.poll(() => deliveries, { timeout: 10_000 }).toEqual([{ timer: 'kept' }]);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(deliveries).toEqual([{ timer: 'kept' }]);
    await consumption.stop();
  });

  test('a message is redelivered if its handler throws; a stopped consumption takes no messages', async () => {
    const counts: number[] = [];
    const consumption = await bus.consume(
      {
        stream: streams.intake,
        durable: 'intake',
        filterSubject: 'coppice.intake.*.run',
        ackWaitMs: 5_000,
        concurrency: 1,
      },
      async (delivery: Delivery) => {
        counts.push(delivery.deliveryCount);
        if (delivery.deliveryCount < 3) throw new Error('not yet');
        await delivery.acknowledge();
      },
    );
    await bus.publish(subjects.intake('default'), { run: 1 });
    await expect.poll(() => counts, { timeout: 10_000 }).toEqual([1, 2, 3]);
    await consumption.stop();
    await bus.publish(subjects.intake('default'), { run: 2 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(counts).toEqual([1, 2, 3]);
    expect(await bus.backlog(streams.intake, 'intake')).toEqual({ pending: 1, unacknowledged: 0 });
    const [queue] = (await bus.queues()).filter(({ name }) => name === 'intake');
    expect(queue).toMatchObject({ waiting: 1, inProgress: 0, redelivered: 0 });
    expect(queue?.oldestAgeMs).toBeGreaterThanOrEqual(250);
    expect(await bus.purge(streams.intake, subjects.intake('default'))).toBe(1);
    const [emptied] = (await bus.queues()).filter(({ name }) => name === 'intake');
    expect(emptied).toMatchObject({ waiting: 0, oldestAgeMs: null });
  });

  test('a message over the limit is rejected before it is sent', async () => {
    await expect(bus.publish(subjects.intake('default'), new Uint8Array(2_000_000))).rejects.toMatchObject({
      code: 'limit-exceeded',
    });
  });
});

test("dead letters of one source, or one tenant, don't evict those of another", async () => {
  const { perSubjectMax } = deadLettersKept;
  await bus.publish(subjects.deadLetter('intake', 'other'), { reason: 'the only one' });
  const flood = Array.from({ length: perSubjectMax + 100 }, (_, index) =>
    bus.publish(subjects.deadLetter('intake', 'acme'), { index }),
  );
  await Promise.all(flood);
  expect(await collect(bus.read(streams.deadLetters, subjects.deadLetter('intake', 'other')))).toHaveLength(1);
  expect(await bus.storedMessages(streams.deadLetters)).toBe(perSubjectMax + 1);
  // The last sequence includes the evicted messages.
  expect(await bus.lastSequence(streams.deadLetters)).toBe(perSubjectMax + 101);
});

describe('request and reply', () => {
  test('requests are validated and answered, errors are typed, and the service is advertised', async () => {
    const service = await bus.serve({
      name: 'coppice-test',
      version: '1.2.3',
      description: 'for this test',
      endpoints: [
        apiEndpoint(api.runCancel, async ({ runId }, { tenant }) => {
          if (tenant === 'refused') throw new CoppiceError('not-found', `no run ${runId}`);
          if (tenant === 'broken') throw new TypeError('a defect');
          return { runId: `${tenant}-${runId}` };
        }),
      ],
    });
    const runId = 'raaaaaaaaaaaaaaaa';
    expect(await bus.call(api.runCancel, { tenant: 'acme' }, { runId })).toEqual({ runId: `acme-${runId}` });
    await expect(bus.call(api.runCancel, { tenant: 'refused' }, { runId })).rejects.toMatchObject({
      code: 'not-found',
      message: `no run ${runId}`,
      retryable: false,
    });
    await expect(bus.call(api.runCancel, { tenant: 'broken' }, { runId })).rejects.toMatchObject({ code: 'internal' });
    await expect(bus.call(api.runGet, { tenant: 'acme' }, { runId })).rejects.toMatchObject({ code: 'unavailable' });

    const refused = await bus.request(
      subjects.api('acme', 'run.cancel'),
      { runId, colour: 'red' },
      { deadlineMs: 2_000 },
    );
    expect(refused.headers?.get('Nats-Service-Error-Code')).toBe('invalid-request');
    expect(JSON.parse(new TextDecoder().decode(refused.data))).toMatchObject({
      error: {
        code: 'invalid-request',
        details: { issues: [{ field: 'colour', expected: 'no such field', received: '"red"' }] },
      },
    });
    const misspelt = {
      error: { details: { issues: [{ field: 'runid', expected: 'no such field (did you mean runId?)' }] } },
    };
    const other = await bus.request(subjects.api('acme', 'run.cancel'), { runId, runid: 'r' }, { deadlineMs: 2_000 });
    expect(JSON.parse(new TextDecoder().decode(other.data))).toMatchObject(misspelt);
    const notJson = await bus.request(subjects.api('acme', 'run.cancel'), text('{nope'), { deadlineMs: 2_000 });
    expect(JSON.parse(new TextDecoder().decode(notJson.data))).toMatchObject({ error: { code: 'invalid-request' } });

    const info = await bus.request('$SRV.INFO.coppice-test', {}, { deadlineMs: 2_000 });
    expect(JSON.parse(new TextDecoder().decode(info.data))).toMatchObject({
      type: 'io.nats.micro.v1.info_response',
      version: '1.2.3',
      endpoints: [
        {
          name: 'run-cancel',
          subject: 'coppice.api.*.run.cancel',
          queue_group: 'q',
          metadata: {
            description: api.runCancel.description,
            'schema.request': JSON.stringify(jsonSchemaOf(api.runCancel.input)),
            'schema.response': JSON.stringify(jsonSchemaOf(api.runCancel.output)),
          },
        },
      ],
    });
    const stats = await bus.request('$SRV.STATS.coppice-test', {}, { deadlineMs: 2_000 });
    expect(JSON.parse(new TextDecoder().decode(stats.data))).toMatchObject({
      endpoints: [{ num_requests: 6, num_errors: 5 }],
    });
    await service.stop();
    await expect(bus.call(api.runCancel, { tenant: 'acme' }, { runId })).rejects.toMatchObject({ code: 'unavailable' });
  });
});

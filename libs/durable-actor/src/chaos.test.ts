import { createHash } from 'node:crypto';
import path from 'node:path';
import { handle, joinMembers, serveCommands } from '@coppice/bus';
import { streams, worktreeOperations } from '@coppice/contracts';
import { eventually, startProcess } from '@coppice/testing';
import type { StartedProcess } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readActor } from './index.ts';
import { Harness, prepared } from './test-support/harness.ts';

/**
 * Two hosts work on many actors. Each host kills itself at random moments and is then restarted. At the end, every
 * effect must have been published and done exactly once. A seed determines the moments, so a run can be repeated.
 */
let harness: Harness;
const jobs = Array.from({ length: 16 }, (_, index) => `c${index}`);
const killsMin = 8;
/** `deliveriesMax` is high, since otherwise the many kills would turn messages into dead letters. */
const limits = { ackWaitMs: 1_000, retryDelayMsMin: 20, deliveriesMax: 1_000, sweepIntervalMs: 600_000 };

beforeAll(async () => {
  harness = await Harness.start();
});
afterAll(() => harness.stop());

const seed = process.env['COPPICE_CHAOS_SEED'] ?? 'coppice';
let drawn = 0;
/** Derives a number from 1 to `max` from the seed. */
const draw = (max: number) => 1 + (createHash('sha256').update(`${seed}:${drawn++}`).digest().readUInt32LE() % max);

/** Restarts a host each time it kills itself. Returns the number of kills. */
async function restartAgainAndAgain(running: () => boolean, started: Set<StartedProcess>): Promise<number> {
  const script = path.join(import.meta.dirname, 'test-programs/crash-host.ts');
  let kills = 0;
  while (running()) {
    const child = startProcess(script, [harness.server.url, 'any', String(draw(120)), JSON.stringify(limits), '4'], {
      COPPICE_LOG_LEVEL: 'error',
    });
    started.add(child);
    const exit = await child.exited;
    started.delete(child);
    if (exit.signal !== 'SIGKILL')
      throw new Error(`a host ended by itself:\n${child.lines.map((line) => line.text).join('\n')}`);
    kills += 1;
  }
  return kills;
}

const states = async () =>
  Promise.all(jobs.map(async (id) => (await readActor(harness.bus, 'job', id))?.state ?? 'absent'));
const ended = async () => (await states()).every((state) => state === 'finished');

let served = 0;

/** Simulates clients, which send `serve` to the desk and `approve` to jobs. The clients may send an `approve` twice. */
async function press(): Promise<void> {
  for (const [index, state] of (await states()).entries()) {
    const id = jobs[index] ?? '';
    const issuedAt = new Date().toISOString();
    if (state === 'asking') {
      // Each `serve` answers one request and needs its own message id, since the desk drops a repeated id.
      const messageId = `serve-${served++}`;
      await harness.post('desk', 'main', { type: 'event', messageId, event: { type: 'serve' }, issuedAt });
    }
    if (state === 'approving') {
      await harness.post('job', id, {
        type: 'event',
        messageId: `approve-${id}`,
        event: { type: 'approve' },
        issuedAt,
      });
    }
  }
}

test(
  `hosts that are killed at random points do everything exactly once (COPPICE_CHAOS_SEED=${seed})`,
  { timeout: 120_000 },
  async () => {
    const ran: string[] = [];
    const member = await joinMembers(harness.bus, { service: 'worktree-service', node: 'node1' });
    const service = await serveCommands(harness.bus, {
      service: 'worktree-service',
      pools: ['node1'],
      concurrency: 4,
      member,
      handlers: [
        handle(worktreeOperations.prepare, (_input, { effectId }) => (ran.push(effectId), Promise.resolve(prepared))),
      ],
    });
    let running = true;
    const started = new Set<StartedProcess>();
    const hosts = [1, 2].map(() => restartAgainAndAgain(() => running, started));
    const failed = Promise.all(hosts).then(() => null);
    for (const id of jobs) await harness.create('job', id, {}, { type: 'start' });

    const deadline = Date.now() + 90_000;
    while (!(await ended()) && Date.now() < deadline) {
      await press();
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 1_000))]);
    }
    running = false;
    for (const child of started) child.signal('SIGKILL');
    const kills = (await Promise.all(hosts)).reduce((sum, each) => sum + each, 0);

    // A host that isn't killed does the remaining work.
    await harness.host({ limits });
    // On a slow machine much work may remain, so the simulated clients continue during the wait.
    await eventually(
      async () => {
        await press();
        expect(await states()).toEqual(jobs.map(() => 'finished'));
        return true;
      },
      { timeoutMs: 25_000, intervalMs: 1_000 },
    );
    await harness.quiet('desk', 'main');
    for (const id of jobs) await harness.quiet('job', id);
    await service.stop();
    await member.leave();

    const expected = ['waiting', 'preparing', 'asking', 'approving', 'finished'].map((state, index) => ({
      state,
      sequence: index + 1,
    }));
    for (const id of jobs) {
      const events = (await harness.events(id)).map(({ state, sequence }) => ({ state, sequence }));
      // A slow host may publish after its successor. Only the sequence numbers show the real order.
      expect(events.toSorted((left, right) => left.sequence - right.sequence)).toEqual(expected);
    }
    const desk = await harness.deskContext();
    expect(desk.open).toEqual([]);
    expect(desk.left.toSorted()).toEqual(jobs.toSorted());
    const tickets = await Promise.all(jobs.map(async (id) => (await readActor(harness.bus, 'job', id))?.output));
    expect(new Set(tickets.map((output) => (output as { ticket: number }).ticket)).size).toBe(jobs.length);
    expect(new Set(ran).size).toBe(jobs.length);
    expect(ran).toHaveLength(jobs.length);
    expect(await harness.stored(streams.actors, 'coppice.>')).toEqual([]);
    expect(await harness.deadLetters()).toEqual([]);
    expect(kills).toBeGreaterThanOrEqual(killsMin);
  },
);

/** Tests a cluster in which one NATS server after the other is killed while tasks run. */
import { streams, subjects } from '@coppice/contracts';
import { eventually, temporaryRepository } from '@coppice/testing';
import { expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

const absent = await whyWithout('bubblewrap');
const script = 'default: { turns: [{ text: "good\\n", latencyMs: 2000 }] }\n';
/** Longer than the election of a leader, since no process can refresh its key during the election. */
const environment = { COPPICE_LOST_AFTER_MS: '15000' };
const testMsMax = 300_000;

test.skipIf(absent !== null)(
  `each of three servers is killed and restarted in turn, and every task lands${absent === null ? '' : ` (skipped: ${absent})`}`,
  { timeout: testMsMax },
  async () => {
    await using stack = await Stack.start({ engine: 'bubblewrap', script, servers: 3, environment });
    await using repository = await temporaryRepository({ files: { 'README.md': '# A repository\n' } });
    for (const [index, server] of stack.servers.entries()) {
      const names = Array.from({ length: 4 }, (_, task) => `task-${index}-${task}`);
      const { runId, tasks } = await stack.submit({
        repository: repository.path,
        baseBranch: 'main',
        concurrency: 2,
        defaults: { model: stack.model, verify: 'true' },
        tasks: names.map((name) => ({
          name,
          description: `Write ${name}`,
          prompt: 'write',
          agent: { kind: 'prompt', file: `${name}.txt` },
        })),
      });
      await stack.reached(runId, tasks[0]?.taskId ?? '', 'working');
      await server.kill();
      const run = await stack.ended(runId);
      expect([run.state, run.tasks.map(({ state }) => state)]).toEqual(['succeeded', names.map(() => 'merged')]);
      await server.restart();
      for (const name of names) expect(await repository.show(`${name}.txt`)).toBe('good\n');
    }
    const turns = await eventually(() =>
      Array.fromAsync(stack.bus.read(streams.transcripts, subjects.transcript('default', '*'))),
    );
    // A turn may be requested several times, but only one answer is stored.
    expect(turns).toHaveLength(12);
    expect((await stack.modelCalls()).filter(({ event }) => event === 'requested').length).toBeGreaterThanOrEqual(12);
  },
);

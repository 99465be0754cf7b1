/** Tests that a client that watches a run continues after a restart of each service and of the NATS server. */
import path from 'node:path';
import { runIdOf, serviceNames } from '@coppice/contracts';
import { startProcess, temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

const script = `
rules:
  - { when: { contains: fails }, turns: [{ text: "bad\\n", latencyMs: 200 }] }
default: { turns: [{ text: "good\\n", latencyMs: 2000 }] }
`;
const program = path.resolve(import.meta.dirname, '../../apps/cli/src/main.ts');
const absent = await whyWithout('bubblewrap');

describe.skipIf(absent !== null)(`restarts under a watcher${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ engine: 'bubblewrap', script });
  }, 180_000);
  afterAll(() => stack?.stop());

  test('watch shows each event once and exits with the code of the run', { timeout: 300_000 }, async () => {
    await using repository = await temporaryRepository({ files: { 'README.md': '# A repository\n' } });
    const names = Array.from({ length: 14 }, (_, index) => `task-${index}`);
    const task = (name: string, verify = 'true', prompt = 'write') => ({
      name,
      description: `Write ${name}`,
      prompt,
      agent: { kind: 'prompt', file: `${name}.txt` },
      verify,
    });
    const request = {
      requestId: 'restarts',
      repository: repository.path,
      baseBranch: 'main',
      concurrency: 2,
      defaults: { model: stack.model },
      tasks: [...names.map((name) => task(name)), task('wrong', 'false', 'fails')],
    };
    const runId = runIdOf('default', request.requestId);
    await stack.submit(request);
    const environment = {
      NATS_URL: stack.nats.url,
      NATS_CREDENTIALS_FILE: stack.users.file('operator'),
    };
    await using lines = startProcess(program, ['watch', runId], environment);
    await using json = startProcess(program, ['watch', runId, '--json'], environment);
    await lines.waitForLine('task-0: working', { timeoutMs: 60_000 });
    for (const [index, name] of serviceNames.entries())
      await (index % 2 === 0 ? stack.killAndRestart(name) : stack.replace(name, 'stop-first'));
    await stack.nats.kill();
    await stack.nats.restart();
    expect([await lines.exited, await json.exited]).toEqual([
      { code: 1, signal: null },
      { code: 1, signal: null },
    ]);
    const { state, endedAt } = await stack.run(runId);
    expect([state, endedAt !== null]).toEqual(['failed', true]);
    const shown = json.lines.flatMap(({ text }) =>
      text.startsWith('{') ? [(JSON.parse(text) as { id: string }).id] : [],
    );
    expect(shown).toEqual((await stack.events(runId)).map(({ id }) => id));
  });
});

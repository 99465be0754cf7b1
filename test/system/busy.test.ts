/**
 * Tests that commands take longer on a machine with overloaded processors, but don't fail.
 *
 * Run the full variant, which includes the demo, without other tests:
 * COPPICE_TEST_BUSY=40 npm test -- test/system/busy.test.ts
 */
import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { startProcess, temporaryFolder } from '@coppice/testing';
import { describe, expect, onTestFailed, test } from 'vitest';
import { startBusyProcesses } from '../support/busy-processes.ts';
import { CommandLine } from '../support/command-line.ts';
import { sandboxes } from '../support/sandboxes.ts';

const busyInFull = Number(process.env['COPPICE_TEST_BUSY'] ?? 0);
const busyCount = busyInFull || 3;
const taskCount = busyInFull === 0 ? 4 : 20;
const msMax = busyInFull === 0 ? 300_000 : 1_200_000;
const engine = sandboxes();
const demo = path.resolve(import.meta.dirname, '../../apps/cli/src/demo/main.ts');

const tasks = Array.from(
  { length: taskCount },
  (_, index) => `  - name: task-${index}
    description: Add task ${index}
    prompt: do it
    agent: { kind: prompt, file: ${index}.txt }`,
).join('\n');

describe(`while ${busyCount} other processes use the CPU`, () => {
  test(`up, a run of ${taskCount} tasks, ls and down succeed`, { timeout: msMax }, async () => {
    await using cli = await CommandLine.create({ 'README.md': '# A repository\n' });
    await cli.write('script.yaml', 'default: { turns: [{ text: "right\\n" }] }\n');
    const defaults = `{ model: scripted/script.yaml, verify: 'true' }`;
    const text = `repository: ${cli.repository.path}\nbaseBranch: main\ndefaults: ${defaults}\ntasks:\n${tasks}\n`;
    const file = await cli.write('plan.yaml', text);
    await using _ = startBusyProcesses(busyCount, msMax / 1_000);
    const steps = [['up', '--engine', engine], ['run', file, '--engine', engine], ['ls'], ['down']];
    for (const words of steps) {
      const started = performance.now();
      await using command = cli.start(words);
      onTestFailed(() => console.error(command.lines.map((line) => line.text).join('\n')));
      expect([words[0], await command.exited]).toEqual([words[0], { code: 0, signal: null }]);
      const said = command.lines.map((line) => line.text).join('\n');
      expect(said).not.toMatch(/a defect of coppice|not enforced here: (?!abstractSockets\b)|no longer answers/);
      if (busyInFull > 0) console.log(`${words[0]}: ${Math.round((performance.now() - started) / 1_000)} s`);
    }
    const merges = await cli.repository.git('log', '--merges', '--format=%H');
    expect(merges.split('\n')).toHaveLength(taskCount);
  });

  // demo.test.ts tests the demo. This returns early, since a skipped test would be reported.
  if (busyInFull === 0) return;

  test('the demo keeps what it promises', { timeout: msMax }, async () => {
    await using folder = await temporaryFolder('busy-demo');
    await chmod(folder.path, 0o711);
    await using _ = startBusyProcesses(busyCount, msMax / 1_000);
    const started = performance.now();
    await using command = startProcess(demo, ['--engine', engine], {
      TMPDIR: folder.path,
      COPPICE_LOG_LEVEL: undefined,
    });
    onTestFailed(() => console.error(command.lines.map((line) => line.text).join('\n')));
    expect(await command.exited).toEqual({ code: 0, signal: null });
    console.log(`demo: ${Math.round((performance.now() - started) / 1_000)} s`);
  });
});

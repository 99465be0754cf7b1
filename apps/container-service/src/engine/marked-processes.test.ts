import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { endMarked, marked, markOf, markStandsAnywhere, markStandsFirst } from './marked-processes.ts';

test('the mark is the first variable, whatever the environment contains', () => {
  const [[name] = ['']] = Object.entries(marked('mark', {}));
  expect(Object.entries(marked('mark', { A: '1', [name]: 'of another' }))).toEqual([
    [name, 'mark'],
    ['A', '1'],
  ]);
});

test('only the part of an environment that can contain the mark is read', async () => {
  const mark = markOf(`/state-${process.pid}`, 'sandbox', 'exec');
  const [entry = ['', '']] = Object.entries(marked(mark, {}));
  const padding = 'x'.repeat(markStandsFirst);
  const behind = spawn('sleep', ['300'], { env: { padding, [entry[0]]: entry[1] }, stdio: 'ignore' });
  const before = spawn('sleep', ['300'], { env: marked(mark, { padding }), stdio: 'ignore' });
  const ends = [behind, before].map((child) => once(child, 'exit'));
  try {
    await Promise.all([behind, before].map((child) => once(child, 'spawn')));
    await endMarked(mark, markStandsFirst);
    await ends[1];
    expect(behind.signalCode).toBe(null);
    await endMarked(mark, markStandsAnywhere);
    await ends[0];
    expect([behind, before].map(({ signalCode }) => signalCode)).toEqual(['SIGKILL', 'SIGKILL']);
  } finally {
    behind.kill('SIGKILL');
    before.kill('SIGKILL');
  }
});

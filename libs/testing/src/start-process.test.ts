import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { startProcess } from './start-process.ts';
import { temporaryFolder } from './temporary-folder.ts';

async function script(text: string) {
  const folder = await temporaryFolder();
  const file = path.join(folder.path, 'script.ts');
  await writeFile(file, text);
  return { file, [Symbol.asyncDispose]: folder.remove };
}

test('lines are found that the process has printed or prints later, and SIGKILL ends the process', async () => {
  await using it = await script(`
    const word: string = process.argv[2] + process.env.WORD;
    console.log('first ' + word);
    setTimeout(() => console.error('second'), 100);
    setInterval(() => {}, 1000);`);
  await using child = startProcess(it.file, ['a'], { WORD: 'b' });
  expect(await child.waitForLine('second')).toBe('second');
  expect(await child.waitForLine(/^first (.+)$/)).toBe('first ab');
  expect(child.lines).toEqual([
    { stream: 'stdout', text: 'first ab' },
    { stream: 'stderr', text: 'second' },
  ]);
  await expect(child.waitForLine('third', { timeoutMs: 50 })).rejects.toThrow('did not print third within 50 ms');
  expect(await child.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
  expect(() => process.kill(child.pid, 0)).toThrow('ESRCH');
});

test('if the process ends, `waitForLine` rejects with an error that quotes the output', async () => {
  await using it = await script(`console.log('the reason'); process.exitCode = 3;`);
  const child = startProcess(it.file);
  await expect(child.waitForLine('never')).rejects.toThrow(/ended \(3\).*the reason/s);
  expect(await child.exited).toEqual({ code: 3, signal: null });
});

test("the process doesn't inherit the test runner's variables", async () => {
  await using it = await script(
    `console.log('seen ' + Object.keys(process.env).filter((name) => name.startsWith('VITEST')).length);`,
  );
  expect(await startProcess(it.file).waitForLine('seen')).toBe('seen 0');
});

import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { replaceFile } from './replace-file.ts';

test('a reader finds the whole content while the file is written again and again', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'filter.bpf');
  const content = Buffer.alloc(1_000_000, 'x');
  await replaceFile(path, content);
  const state = { writing: true };
  const written = (async () => {
    for (let count = 0; count < 50; count++) await replaceFile(path, content);
    state.writing = false;
  })();
  while (state.writing) {
    expect(readFileSync(path)).toHaveLength(content.length);
    await new Promise(setImmediate);
  }
  await written;
  expect(await readdir(folder.path)).toEqual(['filter.bpf']);
});

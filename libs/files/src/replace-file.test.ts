import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { replaceFile } from './replace-file.ts';

test('a reader always reads the complete content while the file is replaced repeatedly', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'filter.bpf');
  const contents = ['x', 'y'].map((letter) => Buffer.alloc(1_000_000, letter)) as [Buffer, Buffer];
  await replaceFile(path, contents[0]);
  const state = { writing: true };
  const written = (async () => {
    for (let count = 0; count < 50; count++) await replaceFile(path, contents[count % 2 === 0 ? 1 : 0]);
    state.writing = false;
  })();
  while (state.writing) {
    expect(readFileSync(path)).toHaveLength(contents[0].length);
    await new Promise(setImmediate);
  }
  await written;
  expect(await readdir(folder.path)).toEqual(['filter.bpf']);
});

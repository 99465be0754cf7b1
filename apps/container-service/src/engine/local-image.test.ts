import { readdir } from 'node:fs/promises';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { localRootfs } from './local-image.ts';

test.runIf(process.platform === 'linux')(
  'concurrent requests for the local image get the same one, which is built once',
  { timeout: 90_000 },
  async () => {
    await using folder = await temporaryFolder('local-image');
    const lines: string[] = [];
    const wanted = [1, 2, 3].map(() => localRootfs(folder.path, (line) => lines.push(line)));
    const [first, ...others] = await Promise.all(wanted);
    expect(new Set(others)).toEqual(new Set([first]));
    expect(lines.filter((line) => line.startsWith('adding Node'))).toHaveLength(1);
    expect(await readdir(folder.path)).toHaveLength(1);
    expect(await readdir(first ?? '')).toEqual(expect.arrayContaining(['bin', 'etc', 'usr', 'workspace']));
  },
);

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { homeFrom, makeHome } from './home.ts';
import { readJsonFile } from './private-file.ts';

test('a home that can not be made is bad input; the error names the variable, the folder and the reason', async () => {
  await using folder = await temporaryFolder('home');
  const file = path.join(folder.path, 'file');
  await writeFile(file, '');
  for (const root of [file, path.join(file, 'below')]) {
    // The error code differs between systems, but always begins with E.
    const expected = `COPPICE_HOME: expected a folder that can be made and written, received ${root}: E`;
    expect(() => makeHome(homeFrom({ COPPICE_HOME: root }))).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringContaining(expected) }),
    );
  }
});

test('an unreadable state file is bad input, and does not count as a missing stack', async () => {
  await using folder = await temporaryFolder('home');
  const file = path.join(folder.path, 'status.json');
  expect(readJsonFile(file)).toBeNull();
  await mkdir(file);
  expect(() => readJsonFile(file)).toThrow(
    expect.objectContaining({ exitCode: 2, message: expect.stringContaining(`${file} can't be read: EISDIR`) }),
  );
});

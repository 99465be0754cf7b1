import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { homeFrom } from './home.ts';
import { closedFolder, requirePassable } from './passable.ts';

test('finds the folder that others may not enter', async () => {
  await using folder = await temporaryFolder('passable');
  await chmod(folder.path, 0o755);
  const inner = path.join(folder.path, 'a', 'b');
  await mkdir(inner, { recursive: true });
  expect(closedFolder(path.join(inner, 'not', 'there'))).toBeNull();
  await chmod(path.join(folder.path, 'a'), 0o700);
  expect(closedFolder(inner)).toBe(path.join(folder.path, 'a'));

  const home = homeFrom({ COPPICE_HOME: path.join(inner, 'home') });
  expect(() => requirePassable(home, 'none', 0)).toThrow(`may not enter ${path.join(folder.path, 'a')}`);
  expect(() => requirePassable(home, 'none', 1000)).not.toThrow();
  expect(() => requirePassable(home, 'auto', 0)).not.toThrow();
});

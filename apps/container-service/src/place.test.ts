import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { placeOf } from './place.ts';

test('processes with the same data folder are one stack, even if they start at the same time; with different folders they are different stacks', async () => {
  await using folder = await temporaryFolder('place');
  const [one, another] = [path.join(folder.path, 'one'), path.join(folder.path, 'another')];
  await mkdir(one);
  const places = await Promise.all(Array.from({ length: 20 }, () => placeOf(one)));
  places.push(await placeOf(one));
  expect(new Set(places.map(({ stackId }) => stackId)).size).toBe(1);
  expect((await placeOf(another)).stackId).not.toBe(places[0]?.stackId);
  expect(await readdir(path.join(one, 'container-service'))).toEqual(['stack-id']);
});

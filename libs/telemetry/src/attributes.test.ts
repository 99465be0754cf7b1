import * as conventions from '@opentelemetry/semantic-conventions/incubating';
import { expect, test } from 'vitest';
import { attributes } from './attributes.ts';

test('names outside our own namespace are those of the conventions', () => {
  const known = new Set<unknown>(Object.values(conventions).filter((value) => typeof value === 'string'));
  const foreign = Object.values(attributes).filter((name) => !name.startsWith('coppice.'));
  expect(foreign.length).toBeGreaterThan(10);
  expect(foreign.filter((name) => !known.has(name))).toEqual([]);
});

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import * as conventions from '@opentelemetry/semantic-conventions/incubating';
import { expect, test } from 'vitest';
import { attributes } from './attributes.ts';

test('all names that do not start with `coppice.` are defined by the conventions', () => {
  const known = new Set<unknown>(Object.values(conventions).filter((value) => typeof value === 'string'));
  const foreign = Object.values(attributes).filter((name) => !name.startsWith('coppice.'));
  expect(foreign.length).toBeGreaterThan(10);
  expect(foreign.filter((name) => !known.has(name))).toEqual([]);
});

/**
 * Deprecation note that is allowed. The GenAI conventions moved to another repository, which has no package for
 * JavaScript. The names stayed the same.
 */
const moved = /Moved to the \[OpenTelemetry GenAI/;

test('no name that is used is deprecated', () => {
  const folder = path.dirname(createRequire(import.meta.url).resolve('@opentelemetry/semantic-conventions'));
  const declared = ['stable_attributes.d.mts', 'experimental_attributes.d.mts']
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
    .join('\n');
  const deprecated = new Map<string, string>();
  for (const [, comment = '', name = ''] of declared.matchAll(
    /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*declare const ATTR_\w+: "([^"]+)";/g,
  )) {
    const why = /@deprecated (.*)/.exec(comment)?.[1];
    if (why !== undefined && !moved.test(why)) deprecated.set(name, why);
  }
  expect(deprecated.get('messaging.system')).toContain('messaging.system.name');
  expect(Object.values(attributes).flatMap((name) => deprecated.get(name) ?? [])).toEqual([]);
});

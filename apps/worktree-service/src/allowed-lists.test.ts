import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { allowedRepositoriesFrom } from './allowed-lists.ts';
import type { AllowedRepositories } from './repository/allowed-repositories.ts';

const denies = (allowed: AllowedRepositories, tenant: string) => {
  const path = '/srv/acme/shop';
  try {
    allowed.of(tenant).requireName({ kind: 'local', path }, path);
    return false;
  } catch {
    return true;
  }
};

test('lists come from the file, else from the variable; without both there are no limits', async () => {
  await using folder = await temporaryFolder('lists');
  const file = join(folder.path, 'allowed.json');
  writeFileSync(file, JSON.stringify({ acme: ['/srv/acme/*'], default: ['**'] }));
  expect(denies(allowedRepositoriesFrom({}), 'anybody')).toBe(false);
  expect(denies(allowedRepositoriesFrom({ COPPICE_ALLOWED_REPOSITORIES: '{}' }), 'acme')).toBe(true);
  const fromFile = allowedRepositoriesFrom({
    COPPICE_ALLOWED_REPOSITORIES: '{}',
    COPPICE_ALLOWED_REPOSITORIES_FILE: file,
  });
  expect(['acme', 'default', 'other'].map((tenant) => denies(fromFile, tenant))).toEqual([false, false, true]);
});

test.each([
  ['acme=/srv/*', /COPPICE_ALLOWED_REPOSITORIES.*not JSON/],
  ['[]', /expected record/],
  ['{"ACME": []}', /ACME/],
  ['{"acme": "/srv/*"}', /acme: .*array/],
  ['{"acme": ["srv/*"]}', /"srv\/\*" is neither an absolute path nor a plain URL/],
])('%s is rejected with the reason', (text, expected) => {
  expect(() => allowedRepositoriesFrom({ COPPICE_ALLOWED_REPOSITORIES: text })).toThrow(expected);
});

test('a missing or empty file does not allow every repository', async () => {
  await using folder = await temporaryFolder('lists');
  const file = join(folder.path, 'allowed.json');
  expect(() => allowedRepositoriesFrom({ COPPICE_ALLOWED_REPOSITORIES_FILE: file })).toThrow(/can not be read/);
  writeFileSync(file, '');
  expect(() => allowedRepositoriesFrom({ COPPICE_ALLOWED_REPOSITORIES_FILE: file })).toThrow(/not JSON/);
});

import { expect, test } from 'vitest';
import { vcsAttributes } from './vcs-attributes.ts';

test('an address is reported without its user and password, query and .git', () => {
  expect(vcsAttributes({ repository: 'https://me:secret@example.invalid:8443/team/app.git?token=secret' })).toEqual({
    'vcs.repository.name': 'app',
    'vcs.repository.url.full': 'https://example.invalid:8443/team/app',
  });
});

test.for(['/somewhere/of/mine/app', '/somewhere/of/mine/app.git/', 'me@example.invalid:team/app.git'])(
  'of the path %s, only the name is reported',
  (repository) => {
    expect(vcsAttributes({ repository })).toEqual({ 'vcs.repository.name': 'app' });
  },
);

test('base and head get the attribute names of the semantic conventions; missing values are left out', () => {
  expect(vcsAttributes({ targetBranch: 'main', expectedTip: 'aa', commit: 'bb', checkout: null })).toEqual({
    'vcs.ref.base.name': 'main',
    'vcs.ref.base.revision': 'aa',
    'vcs.ref.head.revision': 'bb',
  });
  expect(vcsAttributes({ branch: 'coppice/t/x', baseCommit: 'cc', commit: null })).toEqual({
    'vcs.ref.head.name': 'coppice/t/x',
    'vcs.ref.base.revision': 'cc',
  });
});

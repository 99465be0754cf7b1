import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { ownDraftPattern, ownDraftPrefix } from './own-drafts.ts';

test('drafts of this version and of earlier ones are recognized by their names', () => {
  for (const name of [`${ownDraftPrefix}1`, `${ownDraftPrefix}a b\n`, `.coppice-${randomUUID()}`])
    expect([name, ownDraftPattern.test(name)]).toEqual([name, true]);
  const others = ['.coppice-draft', '.coppice.yaml', '.coppice-notes', `x${ownDraftPrefix}1`];
  for (const name of [...others, `.coppice-${randomUUID()}.txt`])
    expect([name, ownDraftPattern.test(name)]).toEqual([name, false]);
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turnOfOthers } from 'node:timers/promises';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { importLimitsDefault } from './limits.ts';
import { planImport, stepBudgetOf } from './plan.ts';

const nothing = { snapshot: new Map(), sealed: null };

/**
 * Creates a folder with the most expensive ignore file. Every rule is matched with every name, and each match fails
 * only at the end of the rule.
 */
async function hostile(rules: number, folders: number) {
  const folder = await temporaryFolder('plan');
  const rule = `${'*a'.repeat(25)}b`;
  writeFileSync(join(folder.path, '.gitignore'), `${rule}\n`.repeat(rules));
  for (let index = 0; index < folders; index++) mkdirSync(join(folder.path, `${'a'.repeat(240)}${index}`));
  return folder;
}

test('a hostile ignore file is rejected once the budget is used up, and other work runs in the meantime', async () => {
  await using folder = await hostile(4_900, 300);
  const limits = { ...importLimitsDefault, matchingStepsMax: 40_000_000, entriesMax: 1_000 };
  const budget = stepBudgetOf(limits);
  let others = 0;
  const ended = new AbortController();
  const other = (async () => {
    while (!ended.signal.aborted) {
      await turnOfOthers();
      others++;
    }
  })();
  const planned = planImport(folder.path, new Map(), nothing, limits, undefined, budget);
  await expect(planned.finally(() => ended.abort())).rejects.toMatchObject({
    code: 'limit-exceeded',
    retryable: false,
    message: expect.stringContaining('steps to match ignore rules (matchingStepsMax)'),
  });
  await other;
  // The import can exceed the budget by at most one match of a rule with a name.
  expect(budget.steps).toBeLessThan(40_000_000 + 1_000 * 100 + 52 * 250);
  expect(budget.yields).toBeGreaterThan(3);
  expect(others).toBeGreaterThanOrEqual(budget.yields);
});

test('planning stops when it is cancelled', async () => {
  await using folder = await hostile(4_900, 300);
  const abort = new AbortController();
  const budget = stepBudgetOf(importLimitsDefault, abort.signal);
  setImmediate(() => abort.abort());
  await expect(
    planImport(folder.path, new Map(), nothing, importLimitsDefault, abort.signal, budget),
  ).rejects.toMatchObject({ code: 'cancelled' });
  expect(budget.yields).toBeLessThan(4);
});

test.each([
  ['rules', '*.x\n'.repeat(5_001), /^\.gitignore: it has more than 5000 rules/],
  ['rules with long text', `${'x'.repeat(1_025)}\n`, /^\.gitignore: it has a rule of more than 1024 bytes/],
])('too many or too long %s are rejected with the path of the ignore file', async (_name, content, message) => {
  await using folder = await temporaryFolder('plan');
  writeFileSync(join(folder.path, '.gitignore'), content);
  await expect(planImport(folder.path, new Map(), nothing, importLimitsDefault)).rejects.toMatchObject({
    code: 'import-refused',
    message: expect.stringMatching(message),
  });
});

test('reading a character class counts towards the budget, too', async () => {
  await using folder = await temporaryFolder('plan');
  writeFileSync(join(folder.path, '.gitignore'), `*${'[[:'.repeat(300)}\n`.repeat(10));
  for (let index = 0; index < 10; index++) writeFileSync(join(folder.path, `${'a'.repeat(240)}${index}`), '');
  const budget = stepBudgetOf(importLimitsDefault);
  const { changes } = await planImport(folder.path, new Map(), nothing, importLimitsDefault, undefined, budget);
  expect(changes).toHaveLength(11);
  expect(budget.steps).toBeGreaterThan(10 * 10 * 240 * 900);
});

/**
 * What the demo works on: a small repository with a test suite, a run file with five tasks, and the script that the model plays.
 *
 * The suite is ahead of the code: of its four files three fail, since the functions that they test aren't written yet.
 */

/** Of the first commit. */
export const repositoryFiles: Record<string, string> = {
  'package.json': `{
  "name": "words",
  "version": "1.0.0",
  "private": true,
  "type": "module",
  "scripts": { "test": "node --test" }
}
`,
  'README.md': `# words

Small functions on text. What they shall do stands in \`test/\`.
`,
  'src/count-words.js': `/** How many words a text has. */
export function countWords(text) {
  return text.split(/\\s+/).filter((word) => word !== '').length;
}
`,
  'test/count-words.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countWords } from '../src/count-words.js';

test('counts words', () => assert.equal(countWords('one two three'), 3));
test('spaces around and between count for nothing', () => assert.equal(countWords('  one   two '), 2));
test('an empty text has none', () => assert.equal(countWords(''), 0));
`,
  'test/slugify.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slugify } from '../src/slugify.js';

test('makes a part of an address', () => assert.equal(slugify('Hello, World!'), 'hello-world'));
test('accents go', () => assert.equal(slugify('Crème brûlée'), 'creme-brulee'));
`,
  'test/title-case.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { titleCase } from '../src/title-case.js';

test('each word begins with a capital', () => assert.equal(titleCase('many straight shoots'), 'Many Straight Shoots'));
`,
  'test/index.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as words from '../src/index.js';

test('one module has it all', () => {
  assert.deepEqual(Object.keys(words).sort(), ['countWords', 'slugify', 'titleCase']);
});
`,
};

/** Relative to the run file. */
export const runFile = `# The demo's run file: five tasks, four of which can start at once.
repository: repository
baseBranch: main
concurrency: 4
defaults:
  model: scripted/script.yaml      # a model that plays a script; a real one is named provider/model
  limits: { time: 2m }
tasks:
  - name: slugify
    description: Add slugify
    prompt: Write src/slugify.js so that test/slugify.test.js passes.
    agent: { kind: prompt, file: src/slugify.js }
    verify: node --test test/slugify.test.js test/count-words.test.js

  - name: title-case
    description: Add titleCase
    prompt: Write src/title-case.js so that test/title-case.test.js passes.
    agent: { kind: prompt, file: src/title-case.js }
    verify: node --test test/title-case.test.js test/count-words.test.js

  - name: usage
    description: Explain how to use the functions
    prompt: Write docs/USAGE.md.
    agent: { kind: prompt, file: docs/USAGE.md }
    verify: grep -rq slugify docs
    commit: { type: docs }

  - name: faster-count               # the model gets this one wrong, and the suite notices
    description: Count words faster
    prompt: Make countWords in src/count-words.js faster.
    agent: { kind: prompt, file: src/count-words.js }
    verify: node --test test/count-words.test.js
    commit: { type: perf }

  - name: index
    description: Export everything from one module
    prompt: Write src/index.js so that the whole suite passes.
    agent: { kind: prompt, file: src/index.js }
    dependsOn: [slugify, title-case] # starts from what those two have landed
    verify: npm test
`;

/** The model's answers. The pauses are there so that one can see something. */
export const script = `rules:
  - when: { contains: src/slugify.js }
    turns:
      - latencyMs: 1200
        text: |
          /** A text as a part of an address: lower case, without accents, words joined by dashes. */
          export function slugify(text) {
            return text
              .normalize('NFD')
              .replaceAll(/\\p{Mn}/gu, '')
              .toLowerCase()
              .replaceAll(/[^a-z0-9]+/g, '-')
              .replaceAll(/^-|-$/g, '');
          }
  - when: { contains: src/title-case.js }
    turns:
      - latencyMs: 1500
        text: |
          /** Each word with a capital. */
          export function titleCase(text) {
            return text.replaceAll(/\\p{L}+/gu, (word) => word[0].toUpperCase() + word.slice(1));
          }
  - when: { contains: docs/USAGE.md }
    turns:
      - latencyMs: 900
        text: |
          # Usage

              import { countWords, slugify, titleCase } from 'words';
  - when: { contains: src/count-words.js }
    turns:
      - latencyMs: 800
        text: |
          /** How many words a text has. */
          export const countWords = (text) => text.split(' ').length;
  - when: { contains: src/index.js }
    turns:
      - latencyMs: 600
        text: |
          export { countWords } from './count-words.js';
          export { slugify } from './slugify.js';
          export { titleCase } from './title-case.js';
`;

/** What must come of it. */
export const landingTasks = ['slugify', 'title-case', 'usage', 'index'];
export const keptOutTask = 'faster-count';
export const keptOutFile = 'src/count-words.js';
export const atOnceMin = 3;

/**
 * The demo's repository: a few functions with a test suite.
 *
 * Four of the five test files fail. One fails because of a bug. The others test functions that don't exist yet.
 */

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
  'src/truncate.js': `/** At most so many characters of a text; three dots stand for what is cut off. */
export function truncate(text, length) {
  return text.length > length ? text.slice(0, length) + '...' : text;
}
`,
  'test/truncate.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { truncate } from '../src/truncate.js';

test('a short text stays', () => assert.equal(truncate('shoot', 10), 'shoot'));
test('a long one is cut to the given length', () => assert.equal(truncate('many straight shoots', 10), 'many st...'));
test('even where the dots alone are too long', () => assert.equal(truncate('many', 2), '..'));
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
  assert.deepEqual(Object.keys(words).sort(), ['countWords', 'readingTime', 'slugify', 'titleCase', 'truncate']);
});
`,
};

/**
 * The answers of the scripted model. `latencyMs` delays an answer, so that a user can watch the progress. The tool
 * calls are executed, so the script must fit the repository.
 */
export const script = `rules:
  - when: { contains: test/truncate.test.js }
    turns:
      - text: I run the test that fails, and read what it tests.
        latencyMs: 700
        toolCalls:
          - { name: run, arguments: { command: node --test test/truncate.test.js } }
          - { name: read, arguments: { path: src/truncate.js } }
      - text: The dots come on top of the given length. They must be part of it.
        latencyMs: 900
        toolCalls:
          - name: edit
            arguments:
              path: src/truncate.js
              oldText: "  return text.length > length ? text.slice(0, length) + '...' : text;"
              newText: |2
                  if (text.length <= length) return text;
                  const dots = '...'.slice(0, length);
                  return text.slice(0, length - dots.length) + dots;
          - { name: run, arguments: { command: node --test test/truncate.test.js } }
      - latencyMs: 500
        toolCalls:
          - { name: finish, arguments: { summary: "The dots count as part of the length now, also where there is hardly room for them." } }
  - when: { contains: readingTime }
    turns:
      - text: First I look at what is there.
        latencyMs: 600
        toolCalls:
          - { name: todo, arguments: { items: [{ text: write the function, done: false }, { text: test it, done: false }] } }
          - { name: list, arguments: { path: . } }
          - { name: read, arguments: { path: src/count-words.js } }
      - text: countWords does half of it.
        latencyMs: 900
        toolCalls:
          - name: write
            arguments:
              path: src/reading-time.js
              content: |
                import { countWords } from './count-words.js';

                const wordsPerMinute = 200;

                /** How many minutes it takes to read a text: full ones, at least one. */
                export function readingTime(text) {
                  return Math.max(1, Math.round(countWords(text) / wordsPerMinute));
                }
          - name: write
            arguments:
              path: test/reading-time.test.js
              content: |
                import assert from 'node:assert/strict';
                import { test } from 'node:test';
                import { readingTime } from '../src/reading-time.js';

                test('a few words take a minute', () => assert.equal(readingTime('one two'), 1));
                test('many take more', () => assert.equal(readingTime('word '.repeat(1000)), 5));
          - { name: run, arguments: { command: node --test test/reading-time.test.js } }
      - latencyMs: 500
        toolCalls:
          - { name: finish, arguments: { summary: "readingTime counts words and divides by 200 a minute; its test is beside the others." } }
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
          export { readingTime } from './reading-time.js';
          export { slugify } from './slugify.js';
          export { titleCase } from './title-case.js';
          export { truncate } from './truncate.js';
`;

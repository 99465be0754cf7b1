import { expect, test } from 'vitest';
import { reasonOf } from './reason.ts';

test.each([
  [
    new Error('(HTTP code 500) server error - Get "https://registry.invalid/v2/": no such host'),
    'Get "https://registry.invalid/v2/": no such host',
  ],
  [new Error('(HTTP code 404) no such container - No such image: x'), 'No such image: x'],
  [new Error('exit code 1 - and more'), 'exit code 1 - and more'],
  ['thrown text', 'thrown text'],
])("a reason is the daemon's own message, without dockerode's prefix", (thrown, reason) => {
  expect(reasonOf(thrown)).toBe(reason);
});

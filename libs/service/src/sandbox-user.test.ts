import { expect, test } from 'vitest';
import { userExists } from './sandbox-user.ts';

test('a user exists if a range of the map contains its id', () => {
  expect(userExists(10_001, '         0          0 4294967295\n')).toBe(true);
  expect(userExists(10_001, '         0       1000          1\n')).toBe(false);
  expect(userExists(10_001, '         0       1000          1\n         1     100000      65536\n')).toBe(true);
  expect(userExists(70_000, '         0       1000          1\n         1     100000      65536\n')).toBe(false);
});

/** Returns whether COPPICE_TEST_REQUIRE (names separated by commas) requires this: its absence then fails a test instead of skipping it. */
export const isRequired = (name: string): boolean =>
  (process.env['COPPICE_TEST_REQUIRE'] ?? '').split(',').includes(name);

/** Returns true if COPPICE_TEST_REQUIRE (names separated by commas) contains the name. If the machine lacks a required thing, tests fail instead of being skipped. */
export const isRequired = (name: string): boolean =>
  (process.env['COPPICE_TEST_REQUIRE'] ?? '').split(',').includes(name);

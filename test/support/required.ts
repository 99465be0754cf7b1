/**
 * Returns true if COPPICE_TEST_REQUIRE, a list separated by commas, contains the name. If the machine lacks something
 * with such a name, tests fail instead of being skipped.
 */
export const isRequired = (name: string): boolean =>
  (process.env['COPPICE_TEST_REQUIRE'] ?? '').split(',').includes(name);

/** Whether COPPICE_TEST_REQUIRE, names with commas between, says that this machine must have it: then its absence is a failure, and no skip. */
export const isRequired = (name: string): boolean =>
  (process.env['COPPICE_TEST_REQUIRE'] ?? '').split(',').includes(name);

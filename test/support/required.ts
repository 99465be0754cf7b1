/** COPPICE_TEST_REQUIRE names what the machine must have. If it is missing, tests fail instead of being skipped. */
export const isRequired = (name: string): boolean =>
  (process.env['COPPICE_TEST_REQUIRE'] ?? '').split(',').includes(name);

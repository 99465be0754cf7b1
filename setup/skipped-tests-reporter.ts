/**
 * A test reporter that lists the skipped tests and their reasons at the end of a run. If `COPPICE_TEST_REQUIRE` is set,
 * as in CI, a skipped test makes the run fail. A test with the reason `no NAME here` may still be skipped if
 * `COPPICE_TEST_WITHOUT` lists NAME. If `COPPICE_TEST_SUMMARY` names a file, the numbers of tests are written to that
 * file.
 */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';

/** Numbers of tests in a run. `failures` has one line for each failed test, with its name and error. */
export type TestCounts = { passed: number; failed: number; skipped: number; notRun: number; failures: string[] };

export default class SkippedTestsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const skipped = tests.filter((test) => test.result().state === 'skipped');
    const failedTests = tests.filter((test) => test.result().state === 'failed');
    const failedModules = modules.filter((module) => module.state() === 'failed' && !hasFailedTest(module));
    const failed = failedTests.length + failedModules.length;
    const required = process.env['COPPICE_TEST_REQUIRE'] ?? '';
    const sorted = sortSkipped(skipped.map(toSkipped), process.env['COPPICE_TEST_WITHOUT'] ?? '');
    for (const line of describeNotRun(sorted.notRun)) process.stdout.write(`${line}\n`);
    for (const line of describeSkipped(sorted.skipped, required)) process.stdout.write(`${line}\n`);
    if (required !== '' && sorted.skipped.length > 0) process.exitCode = 1;
    const passed = tests.length - skipped.length - failedTests.length;
    const failures = [
      ...failedTests.map((test) => describeFailure(test.fullName, test.module, test.result().errors)),
      ...failedModules.map((module) => describeFailure('(the file)', module, errorsOutsideTests(module))),
      ...sorted.skipped.map(({ name, reason }) => `${name}: skipped: ${reason}`),
    ];
    writeSummary({ passed, failed, skipped: sorted.skipped.length, notRun: sorted.notRun.length, failures });
  }
}

export type SkippedTest = { name: string; reason: string };

/**
 * Splits skipped tests into two groups. `notRun` has the tests for which the machine lacks something that `without`
 * names. Names in `without` are separated by commas. `skipped` has the other tests.
 */
export function sortSkipped(
  all: readonly SkippedTest[],
  without: string,
): { skipped: SkippedTest[]; notRun: SkippedTest[] } {
  const lacking = without.split(',');
  const isExpected = ({ reason }: SkippedTest) => lacking.includes(/^no (\S+) here/.exec(reason)?.[1] ?? '');
  return { skipped: all.filter((test) => !isExpected(test)), notRun: all.filter(isExpected) };
}

/** Returns a heading and one line for each test that was not run, or no lines if there are none. */
export function describeNotRun(notRun: readonly SkippedTest[]): string[] {
  if (notRun.length === 0) return [];
  const lines = notRun.map(({ name, reason }) => `  ${name}: ${reason}`);
  return ['', `Not run, since this machine lacks what they need (${notRun.length}):`, ...lines, ''];
}

/** Returns a heading and one line for each skipped test, or no lines if there are none. */
export function describeSkipped(skipped: readonly SkippedTest[], required: string): string[] {
  if (skipped.length === 0) return [];
  const verdict = required === '' ? '' : ` although ${required} is required here: this run has failed`;
  return [
    '',
    `Skipped, not passed (${skipped.length})${verdict}:`,
    ...skipped.map(({ name, reason }) => `  ${name}: ${reason}`),
    '',
  ];
}

function toSkipped(test: TestCase): SkippedTest {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  // If a whole suite is skipped, the reason is in the suite's title.
  const titled = /\(skipped: (.*)\)/.exec(test.fullName)?.[1];
  return { name: `${test.module.relativeModuleId} > ${test.fullName}`, reason: note ?? titled ?? 'no reason given' };
}

function describeFailure(name: string, module: TestModule, errors: readonly { message: string }[] | undefined): string {
  // The first line of a failed command's error names the command, and its last line has the cause.
  const lines = errors?.[0]?.message.trim().split('\n') ?? ['no error was reported'];
  const why = [...new Set([lines[0], lines.at(-1)])].join(' … ');
  return `${module.relativeModuleId} > ${name}: ${why}`;
}

/** Returns the errors of the file and of its suites, such as those in `beforeAll` and `afterAll`. */
function errorsOutsideTests(module: TestModule): { message: string }[] {
  const suites: (TestModule | TestSuite)[] = [module, ...module.children.allSuites()];
  return suites.flatMap((suite) => suite.errors());
}

function hasFailedTest(module: TestModule): boolean {
  return [...module.children.allTests('failed')].length > 0;
}

function writeSummary(counts: TestCounts): void {
  const file = process.env['COPPICE_TEST_SUMMARY'];
  if (file !== undefined && file !== '') writeFileSync(file, `${JSON.stringify(counts)}\n`);
}

/**
 * Says at the end which tests were skipped, and why: a skipped test is no passed one. Where `COPPICE_TEST_REQUIRE` names
 * what the machine must have (as CI does), a skipped test fails the run; but not one that says `no NAME here` with a NAME which
 * `COPPICE_TEST_WITHOUT` says that the machine lacks. `COPPICE_TEST_SUMMARY` names a file that the counts are written to.
 */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** `failures`: one line for each failed test, its name and what it failed with, so that the end of a long log has the cause. */
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
      ...failedModules.map((module) => describeFailure('(the file)', module, module.errors())),
      ...sorted.skipped.map(({ name, reason }) => `${name}: skipped: ${reason}`),
    ];
    writeSummary({ passed, failed, skipped: sorted.skipped.length, notRun: sorted.notRun.length, failures });
  }
}

export type SkippedTest = { name: string; reason: string };

/** Apart are those for which the machine lacks what it was said to lack: names with commas between. */
export function sortSkipped(
  all: readonly SkippedTest[],
  without: string,
): { skipped: SkippedTest[]; notRun: SkippedTest[] } {
  const lacking = without.split(',');
  const isExpected = ({ reason }: SkippedTest) => lacking.includes(/^no (\S+) here/.exec(reason)?.[1] ?? '');
  return { skipped: all.filter((test) => !isExpected(test)), notRun: all.filter(isExpected) };
}

/** One line each, under a heading; nothing when there are none. */
export function describeNotRun(notRun: readonly SkippedTest[]): string[] {
  if (notRun.length === 0) return [];
  const lines = notRun.map(({ name, reason }) => `  ${name}: ${reason}`);
  return ['', `Not run, since this machine lacks what they need (${notRun.length}):`, ...lines, ''];
}

/** One line each, under a heading; nothing when no test was skipped. */
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
  // A whole suite that is skipped says why in its title.
  const titled = /\(skipped: (.*)\)/.exec(test.fullName)?.[1];
  return { name: `${test.module.relativeModuleId} > ${test.fullName}`, reason: note ?? titled ?? 'no reason given' };
}

function describeFailure(name: string, module: TestModule, errors: readonly { message: string }[] | undefined): string {
  const why = errors?.[0]?.message.split('\n')[0] ?? 'no error was told';
  return `${module.relativeModuleId} > ${name}: ${why}`;
}

function hasFailedTest(module: TestModule): boolean {
  return [...module.children.allTests('failed')].length > 0;
}

function writeSummary(counts: TestCounts): void {
  const file = process.env['COPPICE_TEST_SUMMARY'];
  if (file !== undefined && file !== '') writeFileSync(file, `${JSON.stringify(counts)}\n`);
}

import { relative } from 'node:path';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/**
 * Test files that take minutes. They start first, since a slow file that starts last runs alone while the other workers
 * are idle.
 */
export const slowest = [
  'test/system/compose.test.ts',
  'test/system/cli.test.ts',
  'test/interop/languages.test.ts',
  'test/system/loop.test.ts',
  'test/system/crash.test.ts',
  'test/system/many-agents.test.ts',
  'test/system/chaos.test.ts',
  'apps/container-service/src/tools/tools.test.ts',
  'apps/worktree-service/src/merge/land.test.ts',
  'test/system/demo.test.ts',
  'test/system/cluster.test.ts',
  'test/system/upgrade.test.ts',
  'test/system/several-hosts.test.ts',
];

/**
 * Orders test files. First are the slowest, then the other files that need a separate process, then the rest. Files
 * that share a process must follow one another. Within the last two groups, Vitest's own order is kept.
 */
export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const place = slowest.indexOf(relative(this.ctx.config.root, moduleId));
      return place === -1 ? slowest.length + Number(!project.config.isolate) : place;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- a sequencer's `sort` returns a new array
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rank(one) - rank(other));
  }
}

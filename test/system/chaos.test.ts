import { expect, test } from 'vitest';
import { faultKinds } from '../chaos/faults.ts';
import { faultsFound, runChaos } from '../chaos/run.ts';
import { whyWithout } from '../support/engines.ts';

/** Runs `npm run chaos` for a short time with a fixed seed (see docs/chaos.md). */
const engine = 'bubblewrap';
const absent = await whyWithout(engine);
test.skipIf(absent !== null)(
  `40 tasks under every kind of fault on ${engine}${absent === null ? '' : ` (skipped: ${absent})`}`,
  { timeout: 15 * 60_000 },
  async () => {
    const said: string[] = [];
    const say = (line: string) => void said.push(line);
    const options = { tasks: 40, seed: 13, minutes: 2, engine, faults: faultKinds, logFile: null, say } as const;
    const result = await runChaos(options);
    const found = faultsFound(result);
    if (found.length > 0) process.stderr.write(`${said.join('\n')}\n`);
    expect(found).toEqual([]);
    expect(result.tasks.planned).toBe(40);
    // Each kind of fault must have been applied. Otherwise the run didn't test it.
    expect(new Set(result.faults.filter(({ struck }) => struck).map(({ kind }) => kind))).toEqual(
      new Set(result.options.faults),
    );
  },
);

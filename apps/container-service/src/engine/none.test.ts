import { expect, test } from 'vitest';
import { EngineFixture, hostHasProcess, type LauncherFactory } from './conformance-fixture.ts';
import { describeConformance } from './conformance.ts';
import { noneLauncher } from './none.ts';

const makeLauncher: LauncherFactory = ({ stateFolder }) => noneLauncher({ stateFolder });

await describeConformance({
  engine: 'none',
  makeLauncher,
  // Engine none needn't enforce any property.
  mustEnforce: [],
});

test('a process that left the group is ended with its command, wherever the mark is in its environment', async () => {
  const fixture = await EngineFixture.start(makeLauncher);
  try {
    const sandbox = await fixture.sandbox();
    const seconds = `300.${process.pid}`;
    const result = await sandbox.exec(
      `padding=$(head -c 100000 /dev/zero | tr '\\0' x)
      setsid env -i "padding=$padding" "COPPICE_COMMAND=$COPPICE_COMMAND" sleep ${seconds} > /dev/null 2>&1 &
      until grep -q ^sleep /proc/$!/cmdline; do sleep 0.01; done`,
    );
    expect(result).toMatchObject({ exitCode: 0, stderr: { text: '' } });
    expect(await hostHasProcess(seconds)).toBe(false);
  } finally {
    await fixture.stop();
  }
});

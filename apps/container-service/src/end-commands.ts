import { launcherOf } from './choose-engine.ts';
import { createEngine } from './engine/engine.ts';
import { defaultImage } from './engine/local-image.ts';
import type { EngineName } from './engine/port.ts';
import { placeOf } from './place.ts';
import type { ContainerServiceOptions } from './service.ts';

/**
 * Ends the commands that still run in the sandboxes of a killed stack. Keeps the sandboxes for the next start. Doesn't
 * probe the engine, since the engine has worked before.
 * @returns the number of sandboxes for which a running command was recorded
 * @throws CoppiceError `engine-unavailable`
 */
export async function endCommands(
  engineName: EngineName,
  options: Omit<ContainerServiceOptions, 'engine' | 'concurrency'>,
): Promise<number> {
  const { dataFolder, stateFolder, stackId } = await placeOf(options.dataFolder);
  const place = { dataFolder: dataFolder.real, stateFolder, stackId };
  const launcher = launcherOf(engineName, { ...options, ...place, choice: engineName });
  const engine = await createEngine({ ...place, launcher, probeImage: defaultImage });
  try {
    const sandboxes = await engine.list({ stackId });
    // Stops every sandbox, since a stack that was killed just after it started a command may have no record of the
    // command.
    for (const { id } of sandboxes) await engine.stop(id);
    return sandboxes.filter(({ running }) => running > 0).length;
  } finally {
    await engine.close();
  }
}

import { launcherOf } from './choose-engine.ts';
import { createEngine } from './engine/engine.ts';
import { defaultImage } from './engine/local-image.ts';
import type { EngineName } from './engine/port.ts';
import { placeOf } from './place.ts';
import type { ContainerServiceOptions } from './service.ts';

/**
 * Ends whatever the sandboxes of a stack that was killed still run. Their records and files stay, so that the next start goes on with
 * them. Nothing is probed: the engine has worked before.
 * @returns of how many sandboxes it was known
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
    // All of them: a stack that was killed just after it had started a command may have kept no record of it.
    for (const { id } of sandboxes) await engine.stop(id);
    return sandboxes.filter(({ running }) => running > 0).length;
  } finally {
    await engine.close();
  }
}

import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { retry, sandboxUser, userExists } from '@coppice/service';
import { bubblewrapLauncher } from './engine/bubblewrap.ts';
import { dockerLauncher } from './engine/docker.ts';
import { createEngine } from './engine/engine.ts';
import type { Launcher } from './engine/launcher.ts';
import { defaultImage } from './engine/local-image.ts';
import { NoAnswer } from './engine/no-answer.ts';
import { noneLauncher } from './engine/none.ts';
import type { Engine, EngineName, EngineReport } from './engine/port.ts';
import { reasonOf } from './engine/reason.ts';

export const engineChoices = ['auto', 'docker', 'bubblewrap', 'none'] as const;
export type EngineChoice = (typeof engineChoices)[number];

export interface EngineSettings {
  /** `auto` never chooses `none`. */
  choice: EngineChoice;
  dataFolder: string;
  stateFolder: string;
  stackId: string;
  imagesFolder?: string | undefined;
  dockerSocket?: string | undefined;
  bubblewrapProgram?: string | undefined;
  sandboxUid?: number | undefined;
  /**
   * Time in milliseconds during which an engine that doesn't answer is tried again. Default: 3 minutes. A running probe
   * is not interrupted when this time ends.
   */
  answerMsMax?: number | undefined;
  /** Called before an engine that didn't answer is tried again. */
  onWaiting?: ((line: string) => void) | undefined;
  /** Called with errors that do not affect a command's result. */
  onTrouble?: ((error: unknown, what: string) => void) | undefined;
}

const answerMsDefault = 3 * 60_000;
const tryAgainMs = 1_000;

/** Engines that `auto` tries, in this order. */
const automatic: readonly EngineName[] = ['docker', 'bubblewrap'];

/**
 * Returns the first engine that runs a probe command. An engine that doesn't answer in time is tried again before the
 * next engine.
 * @throws CoppiceError `engine-unavailable`. The message says why each engine failed.
 * @throws NoAnswer if one of the engines didn't answer
 */
export async function chooseEngine(settings: EngineSettings): Promise<{ engine: Engine; report: EngineReport }> {
  const user = sandboxUser(settings.sandboxUid);
  if (!userExists(user.uid)) {
    throw new CoppiceError(
      'engine-unavailable',
      `sandboxes can't run here: this process is root, and their user ${user.uid} doesn't exist in its user namespace (/proc/self/uid_map). Run Coppice as a user that isn't root, or give this container more user ids`,
    );
  }
  const candidates = settings.choice === 'auto' ? automatic : [settings.choice];
  const failures: string[] = [];
  let isUnknown = false;
  for (const name of candidates) {
    const engine = await createEngine({
      launcher: launcherOf(name, settings),
      dataFolder: settings.dataFolder,
      stateFolder: settings.stateFolder,
      stackId: settings.stackId,
      probeImage: defaultImage,
      onTrouble: settings.onTrouble,
    });
    try {
      return { engine, report: await probePatiently(engine, settings) };
    } catch (error) {
      const reason = reasonOf(error);
      isUnknown ||= error instanceof NoAnswer;
      failures.push(reason.startsWith(`engine ${name}: `) ? reason : `${name}: ${reason}`);
      await engine.close();
    }
  }
  const tried = `Tried ${failures.join('; ')}`;
  if (isUnknown) {
    const text = `it is unknown whether a sandbox engine works here, since not every one answered in time. ${tried}. Try again when the machine is less busy`;
    throw new NoAnswer('engine-unavailable', text);
  }
  const advice =
    'Install and start Docker or Podman, or install bubblewrap where unprivileged user namespaces are allowed. ' +
    'Engine none runs commands without any isolation and must be chosen (COPPICE_ENGINE=none, or on the command line --engine none)';
  throw new CoppiceError('engine-unavailable', `no sandbox engine works here. ${tried}. ${advice}`);
}

function probePatiently(
  engine: Engine,
  { answerMsMax = answerMsDefault, onWaiting }: EngineSettings,
): Promise<EngineReport> {
  const mayPass = (error: Error) => {
    if (!(error instanceof NoAnswer)) return false;
    onWaiting?.(`engine ${engine.name}: ${reasonOf(error)}; trying again`);
    return true;
  };
  return retry(() => engine.probe(), { mayPass, forMs: answerMsMax, pauseMs: tryAgainMs });
}

export function launcherOf(name: EngineName, settings: EngineSettings): Launcher {
  const { stateFolder, stackId, sandboxUid, dockerSocket, bubblewrapProgram } = settings;
  const imagesFolder = settings.imagesFolder ?? join(stateFolder, 'images');
  const common = { stateFolder, imagesFolder, ...(sandboxUid === undefined ? {} : { sandboxUid }) };
  if (name === 'docker') {
    return dockerLauncher({ ...common, stackId, ...(dockerSocket === undefined ? {} : { socketPath: dockerSocket }) });
  }
  if (name === 'bubblewrap') {
    return bubblewrapLauncher({
      ...common,
      ...(bubblewrapProgram === undefined ? {} : { program: bubblewrapProgram }),
    });
  }
  return noneLauncher(common);
}

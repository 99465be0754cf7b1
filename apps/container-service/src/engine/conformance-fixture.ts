import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder, type TemporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { bubblewrapLauncher } from './bubblewrap.ts';
import { dockerLauncher } from './docker.ts';
import { createEngine } from './engine.ts';
import type { Launcher } from './launcher.ts';
import { defaultImage } from './local-image.ts';
import type { Command, Engine, ExecOptions, ExecResult, SandboxSpec } from './port.ts';
import { codeOf } from './reason.ts';

/** Folder of root file systems. It is kept between test runs, since building a root file system takes seconds. */
export const testImagesFolder = fileURLToPath(new URL('../../../../.cache/images', import.meta.url));

const stackId = `conformance-${process.pid}`;

export class EngineFixture {
  readonly engine: Engine;
  readonly launcher: Launcher;
  readonly data: string;
  readonly #folder: TemporaryFolder;
  readonly #created = new Set<string>();
  #count = 0;

  private constructor(engine: Engine, launcher: Launcher, folder: TemporaryFolder) {
    this.engine = engine;
    this.launcher = launcher;
    this.data = folder.path;
    this.#folder = folder;
  }

  static async start(makeLauncher: LauncherFactory): Promise<EngineFixture> {
    const folder = await temporaryFolder('engine');
    const stateFolder = join(folder.path, 'engine');
    // Engine none mounts nothing, so its user must be able to enter the folder. Other engines must work with a folder
    // that other users can't enter.
    const launcher = makeLauncher({ stateFolder, imagesFolder: testImagesFolder, stackId });
    if (launcher.name === 'none') await chmod(folder.path, 0o755);
    await launcher.connect();
    const engine = await createEngine({
      launcher,
      dataFolder: folder.path,
      stateFolder,
      stackId,
      probeImage: defaultImage,
    });
    return new EngineFixture(engine, launcher, folder);
  }

  /** Creates a folder in the data folder that the sandbox's user may write. */
  async folder(name = `folder-${++this.#count}`): Promise<string> {
    const path = join(this.data, name);
    await mkdir(path, { recursive: true, mode: 0o755 });
    const { uid, gid } = this.launcher.defaultUser();
    if (process.getuid?.() === 0) await chown(path, uid, gid);
    return path;
  }

  async specification(overrides: Partial<SandboxSpec> = {}): Promise<SandboxSpec & { id: string }> {
    const id = overrides.id ?? `sandbox-${++this.#count}`;
    this.#created.add(id);
    return {
      id,
      image: defaultImage,
      labels: { stackId, tenant: 'default', runId: 'run', taskId: `task-of-${id}` },
      workspace: { source: await this.folder(`workspace-of-${id}`), readOnly: false },
      limits: { memoryBytes: 256 * 1024 * 1024, pids: 64, cpus: 1, scratchBytes: 8 * 1024 * 1024 },
      ...overrides,
    };
  }

  async sandbox(overrides: Partial<SandboxSpec> = {}): Promise<Sandbox> {
    const spec = await this.specification(overrides);
    await this.engine.create(spec);
    return {
      id: spec.id,
      spec,
      workspace: spec.workspace.source,
      exec: (command, options) => this.engine.exec(spec.id, command, options),
    };
  }

  async write(path: string, text: string): Promise<string> {
    await writeFile(path, text);
    return path;
  }

  async stop(): Promise<void> {
    for (const id of this.#created) await this.engine.remove(id);
    await this.engine.close();
    await rm(this.#folder.path, { recursive: true, force: true });
  }
}

export interface Sandbox {
  id: string;
  spec: SandboxSpec;
  workspace: string;
  exec(command: Command, options?: ExecOptions): Promise<ExecResult>;
}

export type LauncherFactory = (options: { stateFolder: string; imagesFolder: string; stackId: string }) => Launcher;

const program = process.env['COPPICE_BWRAP'];
const socketPath = process.env['COPPICE_DOCKER_SOCKET'];

export const testLaunchers = {
  bubblewrap: ({ stateFolder, imagesFolder }) =>
    bubblewrapLauncher({ stateFolder, imagesFolder, ...(program === undefined ? {} : { program }) }),
  docker: (options) => dockerLauncher({ ...options, ...(socketPath === undefined ? {} : { socketPath }) }),
} satisfies Record<string, LauncherFactory>;

/** Starts a fixture for the tests of a `describe`. Skips the tests if the engine is missing and not required. */
export function useEngineFixture(engine: string, makeLauncher: LauncherFactory): () => EngineFixture {
  let reason: string | undefined;
  let fixture: EngineFixture | undefined;
  beforeAll(async () => {
    reason = await untestableReason(makeLauncher);
    if (reason === undefined) fixture = await EngineFixture.start(makeLauncher);
  });
  afterAll(() => fixture?.stop());
  beforeEach((context) => {
    if (reason === undefined) return;
    if (isRequired(engine)) throw new Error(reason);
    context.skip(reason);
  });
  return () => {
    if (fixture === undefined) throw new Error('used outside of a test');
    return fixture;
  };
}

/** Returns the reason why this engine can't be tested on this machine, or undefined. */
export async function untestableReason(makeLauncher: LauncherFactory): Promise<string | undefined> {
  const fixture = await EngineFixture.start(makeLauncher).catch((error: Error) => error);
  if (fixture instanceof Error) return fixture.message;
  try {
    await fixture.engine.probe();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await fixture.stop();
  }
}

export function isRequired(engine: string): boolean {
  return (process.env['COPPICE_TEST_REQUIRE'] ?? '').split(',').includes(engine);
}

/** Reports whether any process on this host, of any user, has the word in its command line. */
export async function hostHasProcess(word: string): Promise<boolean> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const line = await readFile(`/proc/${name}/cmdline`, 'latin1').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return '';
      throw error;
    });
    if (line.includes(word)) return true;
  }
  return false;
}

import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startProcess, temporaryFolder, temporaryRepository } from '@coppice/testing';
import type { FileContent, StartedProcess, TemporaryRepository } from '@coppice/testing';

const mainFile = path.resolve(import.meta.dirname, '../../apps/cli/src/main.ts');
const runMsMax = 90_000;

export type Outcome = { exitCode: number | null; out: string; err: string };

/** Runs the `coppice` command as a user does, with a separate home folder and a small repository. */
export class CommandLine implements AsyncDisposable {
  readonly home: string;
  readonly folder: string;
  readonly repository: TemporaryRepository;
  readonly #remove: () => Promise<void>;

  private constructor(folder: string, repository: TemporaryRepository, remove: () => Promise<void>) {
    this.folder = folder;
    this.home = path.join(folder, 'home');
    this.repository = repository;
    this.#remove = remove;
  }

  static async create(files: Record<string, FileContent>): Promise<CommandLine> {
    const folder = await temporaryFolder('cli');
    // A stack that runs as root without a sandbox engine runs commands as another user. That user needs access to this
    // folder.
    await chmod(folder.path, 0o711);
    const repository = await temporaryRepository({ files });
    return new CommandLine(folder.path, repository, folder.remove);
  }

  #environment(extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
    return { NATS_URL: '', COPPICE_LOG_LEVEL: undefined, COPPICE_HOME: this.home, NO_COLOR: '', ...extra };
  }

  /** Captures the output through pipes, so it isn't a terminal's. */
  run(commandArguments: string[], environment: NodeJS.ProcessEnv = {}, folder: string = this.folder): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const child = execFile(
      process.execPath,
      [mainFile, ...commandArguments],
      {
        env: { ...process.env, ...this.#environment(environment) },
        cwd: folder,
        timeout: runMsMax,
        maxBuffer: 64 * 1024 * 1024,
      },
      (_error, out, err) => resolve({ exitCode: child.exitCode, out, err }),
    );
    return promise;
  }

  start(commandArguments: string[], environment: NodeJS.ProcessEnv = {}): StartedProcess {
    return startProcess(mainFile, commandArguments, this.#environment(environment), { cwd: this.folder });
  }

  async write(name: string, text: string): Promise<string> {
    const file = path.join(this.folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
    return file;
  }

  async stackProcess(): Promise<number> {
    const status = JSON.parse(await readFile(path.join(this.home, 'stack', 'status.json'), 'utf8')) as {
      process: { pid: number };
    };
    return status.process.pid;
  }

  async connection(): Promise<{ servers: string; user: string; password: string }> {
    return JSON.parse(await readFile(path.join(this.home, 'stack', 'connection.json'), 'utf8')) as {
      servers: string;
      user: string;
      password: string;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(['down']);
    await this.repository.remove();
    await this.#remove();
  }
}

/** The stack of docker-compose.yml for tests. It has its own project, volumes and images, and free ports. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '@coppice/testing';
import type { TemporaryFolder } from '@coppice/testing';
import { makeStandInImages, standInRegistry } from './stand-in-images.ts';
import type { StandIns } from './stand-in-images.ts';

const projectFolder = path.resolve(import.meta.dirname, '../..');
const runFile = promisify(execFile);
const commandMsMax = 480_000;

/** Number of replicas at the first start, which sets them by flags. */
export const scales = {
  orchestrator: 3,
  'llm-gateway': 2,
  'worktree-service': 2,
  'container-service': 2,
} as const;
export type ScaledService = keyof typeof scales;
/** Number of replicas at a start without flags. All differ from `scales`, and one differs from the default. */
export const scalesBySettings: Record<ScaledService, number> = {
  orchestrator: 2,
  'llm-gateway': 1,
  'worktree-service': 1,
  'container-service': 1,
};
export const scaledServices = Object.keys(scales) as ScaledService[];

export type InspectedContainer = {
  Id: string;
  Name: string;
  RestartCount: number;
  State: { Running: boolean };
  HostConfig: { ReadonlyRootfs: boolean; CapDrop: string[] | null; Memory: number; PidsLimit: number };
  Mounts: { Destination: string }[];
};

export class ComposeStack {
  readonly project = `coppice-test-${process.pid}`;
  /** Folder with the repositories and scripts. It has the same path inside and outside the containers. */
  readonly folder: string;
  readonly uid: number;
  /** With an image of Prometheus, the profile `metrics` is started too. */
  readonly images: StandIns;
  readonly #temporary: TemporaryFolder;
  /** Tags of the images. Each additional tag is an upgrade. */
  readonly #versions: [string, ...string[]] = [this.project];

  private constructor(temporary: TemporaryFolder, uid: number, images: StandIns) {
    this.#temporary = temporary;
    this.images = images;
    this.folder = path.join(temporary.path, 'repositories');
    this.uid = uid;
  }

  /** Creates a stack without starting it. @param uid user id that the services run as */
  static async create(uid: number): Promise<ComposeStack> {
    const images = await makeStandInImages();
    for (const line of images.descriptions) process.stdout.write(`stands in for an official image: ${line}\n`);
    const stack = new ComposeStack(await temporaryFolder('compose'), uid, images);
    await mkdir(stack.folder);
    return stack;
  }

  get users(): string {
    return path.join(this.#temporary.path, 'users');
  }

  get #environment(): NodeJS.ProcessEnv {
    const kept = Object.entries(process.env).filter(([name]) => /^(PATH|HOME|DOCKER_.*|XDG_.*)$/.test(name));
    return {
      ...Object.fromEntries(kept),
      COPPICE_REGISTRY: standInRegistry,
      COPPICE_DEPENDENCIES: 'given',
      COPPICE_VERSION: this.#versions.at(-1),
      COPPICE_UID: String(this.uid),
      COPPICE_GID: String(this.uid),
      COPPICE_DOCKER_SOCKET: process.env['COPPICE_DOCKER_SOCKET'],
      COPPICE_REPOSITORIES: this.folder,
      COPPICE_SCRIPTS: this.folder,
      COPPICE_ORCHESTRATORS: String(scalesBySettings.orchestrator),
      COPPICE_LLM_GATEWAYS: String(scalesBySettings['llm-gateway']),
      COPPICE_WORKTREE_SERVICES: String(scalesBySettings['worktree-service']),
      COPPICE_CONTAINER_SERVICES: String(scalesBySettings['container-service']),
      COPPICE_NATS_ADDRESS: '127.0.0.1:0',
      COPPICE_JAEGER_ADDRESS: '127.0.0.1:0',
      COPPICE_PROMETHEUS_ADDRESS: '127.0.0.1:0',
      COMPOSE_PROFILES: this.images.hasPrometheus ? 'metrics' : '',
      COPPICE_LOST_AFTER_MS: '3000',
    };
  }

  get #command(): [string, ...string[]] {
    const program = process.env['COPPICE_DOCKER_COMPOSE'] ?? 'docker-compose';
    return [program, '--project-name', this.project, '--file', path.join(projectFolder, 'docker-compose.yml')];
  }

  async compose(...composeArguments: string[]): Promise<string> {
    const [program, ...options] = this.#command;
    return this.#run(program, [...options, ...composeArguments]);
  }

  /** Runs commands of a document, always in the same separate folder. In them, `docker compose` means this stack. */
  async type(commands: string): Promise<void> {
    const folder = path.join(this.#temporary.path, 'typed');
    await mkdir(folder, { recursive: true });
    const quoted = this.#command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    const docker = `docker() { if [ "$1" = compose ]; then shift; ${quoted} "$@"; else command docker "$@"; fi; }`;
    await this.#run('bash', ['-euo', 'pipefail', '-c', `${docker}\n${commands}`], folder);
  }

  /** Changes the tag of all images from now on, as a later version does. */
  becomeLater(): void {
    this.#versions.push(`${this.project}-later-${this.#versions.length}`);
  }

  async #run(program: string, options: string[], folder = projectFolder): Promise<string> {
    const settings = { cwd: folder, env: this.#environment, timeout: commandMsMax, maxBuffer: 64 * 1024 * 1024 };
    return (await runFile(program, options, settings)).stdout;
  }

  /** Resolves when all services are healthy. */
  async up(): Promise<void> {
    const scaled = Object.entries(scales).flatMap(([name, count]) => ['--scale', `${name}=${count}`]);
    try {
      await this.compose('up', '--detach', '--build', '--wait', ...scaled);
    } catch (error) {
      console.error((await this.compose('logs', '--tail', '20')).slice(-20_000));
      throw error;
    }
  }

  /** Returns the published address of a service's port, as `127.0.0.1:PORT`. */
  async published(service: string, port: number): Promise<string> {
    return (await this.compose('port', service, String(port))).trim();
  }

  async containers(service: string): Promise<InspectedContainer[]> {
    const ids = (await this.compose('ps', '--all', '--quiet', service)).split('\n').filter((id) => id !== '');
    return JSON.parse((await runFile('docker', ['inspect', ...ids])).stdout) as InspectedContainer[];
  }

  async read(container: InspectedContainer, script: string): Promise<string> {
    const user = ['--user', String(this.uid)];
    return (await runFile('docker', ['exec', ...user, container.Name.slice(1), 'sh', '-c', script])).stdout;
  }

  /** Kills the service's process. The container then ends, and Docker restarts it. */
  async crash(container: InspectedContainer): Promise<void> {
    await this.read(container, 'kill -9 $(cat /proc/1/task/1/children)');
  }

  async down(): Promise<void> {
    await this.compose('down', '--volumes');
    for (const version of this.#versions) {
      const tags = ['service', 'service-with-git'].map((name) => `coppice/${name}:${version}`);
      await runFile('docker', ['image', 'rm', ...tags]);
    }
    await this.#temporary.remove();
  }
}

/**
 * Makes images for docker-compose.yml without a registry, from this machine's own programs. Jaeger is real if `npm run
 * jaeger` has built it, and otherwise a stand-in. Prometheus is Debian's older version. The images' registry can't
 * exist, so they replace no official image on this machine.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, cp, mkdir, writeFile } from 'node:fs/promises';
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { natsServerProgram, temporaryFolder } from '@coppice/testing';
import { buildRootfs, rootfsKey } from '../../deploy/agent-runtime/rootfs.js';
import { prometheusProgram } from './prometheus-program.ts';

export const standInRegistry = 'coppice.test';
const projectFolder = path.resolve(import.meta.dirname, '../..');
const names = {
  node: `${standInRegistry}/library/node:24-bookworm-slim`,
  nats: `${standInRegistry}/library/nats:2.14.2-alpine`,
  jaeger: `${standInRegistry}/jaegertracing/jaeger:2.13.0`,
  prometheus: `${standInRegistry}/prom/prometheus:v3.5.0`,
};
const run = promisify(execFile);

export type StandIns = {
  /** One line for each image that describes its origin. */
  descriptions: string[];
  hasJaeger: boolean;
  hasPrometheus: boolean;
};

/** Reuses images of an earlier run. */
export async function makeStandInImages(): Promise<StandIns> {
  const image = await agentRuntime();
  await run('docker', ['tag', image, names.node]);
  await run(process.execPath, [path.join(projectFolder, 'deploy/services/dependencies.js')]);
  await using folder = await temporaryFolder('images');
  await makeNats(path.join(folder.path, 'nats'));
  const hasJaeger = await makeJaeger(path.join(folder.path, 'jaeger'));
  const prometheus = await makePrometheus(path.join(folder.path, 'prometheus'));
  return {
    descriptions: [
      "node: this machine's Node, git and programs",
      'nats: the nats-server that set-up found',
      `jaeger: ${hasJaeger ? 'its own program' : 'a receiver of traces of our own, test/stand-ins/jaeger.js; "npm run jaeger" builds the real one'}`,
      `prometheus: ${prometheus ?? "Debian's"}`,
    ],
    hasJaeger,
    hasPrometheus: prometheus === null,
  };
}

/** Returns the sandboxes' image, which has Node and git. Builds it if it is missing. */
async function agentRuntime(): Promise<string> {
  const name = `coppice/agent-runtime:${rootfsKey()}`;
  if (
    await run('docker', ['image', 'inspect', name]).then(
      () => true,
      () => false,
    )
  )
    return name;
  const { folder } = await buildRootfs(path.join(projectFolder, `.cache/images/agent-runtime-${rootfsKey()}`));
  const tar = spawn('tar', ['--create', '--numeric-owner', '--owner=0', '--group=0', '--directory', folder, '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const imported = spawn('docker', ['import', '-', name], { stdio: [tar.stdout, 'ignore', 'inherit'] });
  // `tar` emits no `close`, because the other process reads its output.
  const codes = await Promise.all([once(tar, 'exit'), once(imported, 'close')]);
  if (codes.some(([code]) => code !== 0)) throw new Error(`${folder} could not be imported as ${name}`);
  return name;
}

/** As in the official image, the entry point passes arguments that start with an option to nats-server. */
async function makeNats(folder: string): Promise<void> {
  await mkdir(folder);
  await copyFile(realpathSync(natsServerProgram()), path.join(folder, 'nats-server'));
  const entryPoint = '#!/bin/sh\nset -e\ncase "$1" in -*) set -- nats-server "$@" ;; esac\nexec "$@"\n';
  await writeFile(path.join(folder, 'docker-entrypoint.sh'), entryPoint, { mode: 0o755 });
  await build(folder, names.nats, [
    'COPY nats-server docker-entrypoint.sh /usr/local/bin/',
    'ENTRYPOINT ["docker-entrypoint.sh"]',
    'CMD ["nats-server", "--config", "/etc/nats/nats-server.conf"]',
  ]);
}

/** @returns true if the image contains the real Jaeger */
async function makeJaeger(folder: string): Promise<boolean> {
  await mkdir(folder);
  const program = path.join(projectFolder, '.cache/bin/jaeger');
  const isReal = existsSync(program);
  if (isReal) await copyFile(realpathSync(program), path.join(folder, 'jaeger-linux'));
  else await cp(path.join(projectFolder, 'test/stand-ins/jaeger.js'), path.join(folder, 'jaeger.js'));
  await build(
    folder,
    names.jaeger,
    isReal
      ? [
          'ENV JAEGER_LISTEN_HOST=0.0.0.0',
          'COPY jaeger-linux /cmd/jaeger/',
          'ENTRYPOINT ["/cmd/jaeger/jaeger-linux"]',
          'USER 10001',
        ]
      : ['COPY jaeger.js /cmd/jaeger/', 'ENTRYPOINT ["node", "/cmd/jaeger/jaeger.js"]', 'USER 10001'],
  );
  return isReal;
}

/** @returns null, or the reason why the stack runs without Prometheus */
async function makePrometheus(folder: string): Promise<string | null> {
  const found = await prometheusProgram('prometheus');
  if ('absent' in found) return `none, so that it is not tried (${found.absent})`;
  await mkdir(folder);
  await copyFile(realpathSync(found.program), path.join(folder, 'prometheus'));
  const lines = ['COPY prometheus /bin/', 'ENTRYPOINT ["/bin/prometheus"]', 'USER 65534'];
  await build(folder, names.prometheus, lines);
  return null;
}

async function build(folder: string, name: string, lines: readonly string[]): Promise<void> {
  await writeFile(path.join(folder, 'Dockerfile'), [`FROM ${names.node}`, ...lines, ''].join('\n'));
  await run('docker', ['build', '--quiet', '--tag', name, folder]);
}

/** Builds, scales and uses the stack of docker-compose.yml as a platform team does, and kills containers. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Bus } from '@coppice/bus';
import { api, buckets, runIdOf } from '@coppice/contracts';
import { eventually, temporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { checkRepository, checkTasks } from '../../apps/cli/src/demo/checks.ts';
import { makeProject } from '../../apps/cli/src/demo/make-project.ts';
import { startBusyProcesses } from '../support/busy-processes.ts';
import { ComposeStack, scaledServices, scales, scalesBySettings } from '../support/compose.ts';
import { whyWithoutCompose } from '../support/engines.ts';
import { giveTo, strangersIn } from '../support/owners.ts';

const absent = await whyWithoutCompose();
const program = path.resolve(import.meta.dirname, '../../apps/cli/src/main.ts');
const guide = path.resolve(import.meta.dirname, '../../docs/operations.md');
/** Time limit of a start. It takes minutes while two other tests build and compile. */
const startMsMax = 600_000;
const runMsMax = 180_000;
/** Number of busy processes, set as in busy.test.ts. */
const busyCount = Number(process.env['COPPICE_TEST_BUSY'] ?? 3);
const tenant = 'default';
const scripted = { name: 'scripted/script.yaml', isScripted: true, environment: {}, where: null };
/** User id of the services. Another user's id if the tests run as root, and otherwise the caller's id. */
const uid = process.getuid?.() === 0 ? 12_345 : (process.getuid?.() ?? 0);

describe.skipIf(absent !== null)(`docker-compose.yml${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
  let stack: ComposeStack;
  let bus: Bus;

  beforeAll(async () => {
    stack = await ComposeStack.create(uid);
    await giveTo(stack.folder, uid);
    await stack.up();
    await stack.compose('cp', 'users:/volumes/users/.', stack.users);
    bus = await connect();
  }, startMsMax);

  /** The published port changes with each start of the server. */
  async function connect(): Promise<Bus> {
    const servers = `nats://${await stack.published('nats', 4222)}`;
    const file = path.join(stack.users, 'administrator.json');
    const { nkeySeed, inboxPrefix } = JSON.parse(await readFile(file, 'utf8')) as Record<
      'nkeySeed' | 'inboxPrefix',
      string
    >;
    return Bus.connect({ servers, nkeySeed, inboxPrefix, name: 'compose-test' });
  }

  afterAll(async () => {
    await bus?.close();
    await stack?.down();
  }, startMsMax);

  test('each service has the configured number of replicas, and replicas on one engine are one node', async () => {
    const members: string[] = [];
    for await (const id of bus.keyValue(buckets.members).keys()) members.push(id);
    const counts = members.map((id) => id.replace(/-[0-9a-f]+$/, ''));
    expect(counts.toSorted()).toEqual(
      scaledServices.flatMap((name) => Array.from({ length: scales[name] }, () => `${name}-compose`)).toSorted(),
    );
  });

  test('a client without a key is rejected', async () => {
    const servers = `nats://${await stack.published('nats', 4222)}`;
    await expect(Bus.connect({ servers, name: 'stranger' })).rejects.toMatchObject({ code: 'permission-denied' });
  });

  test('no process is root, only volumes are writable, and only one service has the Docker socket', async () => {
    const others = ['nats', 'jaeger', ...(stack.images.hasPrometheus ? ['prometheus'] : [])];
    for (const service of [...scaledServices, ...others]) {
      for (const container of await stack.containers(service)) {
        const { ReadonlyRootfs, CapDrop, Memory, PidsLimit } = container.HostConfig;
        const settings = { ReadonlyRootfs, CapDrop, bounded: Memory > 0 && PidsLimit > 0 };
        expect({ service, ...settings }).toEqual({ service, ReadonlyRootfs: true, CapDrop: ['ALL'], bounded: true });
        const sockets = container.Mounts.filter(({ Destination }) => Destination.endsWith('docker.sock'));
        expect([service, sockets.length]).toEqual([service, service === 'container-service' ? 1 : 0]);
        if (others.includes(service)) continue;
        const status = await stack.read(container, 'cat "/proc/$(cat /proc/1/task/1/children | tr -d " ")/status"');
        expect(status).toMatch(new RegExp(`^Uid:(\\s${uid}){4}$`, 'm'));
        expect(status).toMatch(/^CapEff:\s0+$/m);
        expect(status).toMatch(/^NoNewPrivs:\s1$/m);
        expect(await stack.read(container, 'ls /run/coppice')).toBe(`${service}.json\n`);
        await expect(stack.read(container, ': > /coppice/written')).rejects.toThrow(/[Rr]ead-only file system/);
      }
    }
  });

  test(
    'tasks submitted through the published port land while a container of each service is killed',
    { timeout: runMsMax },
    async () => {
      onTestFailed(async () => console.error((await stack.compose('logs', '--tail', '60')).slice(-20_000)));
      const project = makeProject(stack.folder, scripted);
      await giveTo(stack.folder, uid);
      const environment = {
        ...process.env,
        NATS_URL: `nats://${await stack.published('nats', 4222)}`,
        NATS_CREDENTIALS_FILE: path.join(stack.users, 'operator.json'),
      };
      const submit = [program, 'run', project.runFile, '--request-id', 'compose', '--detach'];
      await promisify(execFile)(process.execPath, submit, { env: environment });
      const runId = runIdOf(tenant, 'compose');
      const tasksOf = async () => (await bus.call(api.taskList, { tenant }, { runId, limit: 100 })).tasks;
      const runNow = () => bus.call(api.runGet, { tenant }, { runId });

      await eventually(async () => (await tasksOf()).some(({ state }) => state === 'working'), { timeoutMs: 60_000 });
      const firsts = await Promise.all(scaledServices.map(async (name) => (await stack.containers(name))[0]));
      const dying = firsts.filter((container) => container !== undefined);
      await Promise.all(dying.map((container) => stack.crash(container)));
      const diedAt = new Date().toISOString();
      expect(dying).toHaveLength(scaledServices.length);
      await eventually(async () => (await runNow()).state !== 'running', { timeoutMs: 120_000 });
      // If this fails, the containers were killed after the end of the run.
      expect((await runNow()).endedAt?.localeCompare(diedAt)).toBe(1);
      const tasks = new Map((await tasksOf()).map((task) => [task.name, task]));
      // All files that landed must belong to the repository's owner.
      expect(await strangersIn(project.repository, uid)).toEqual([]);
      await giveTo(stack.folder, process.getuid?.() ?? uid);
      const checks = [...checkTasks(tasks), ...checkRepository(project, tasks)];
      expect(checks.filter(({ kept }) => !kept)).toEqual([]);
      await expectBegunAnew(
        stack,
        dying.map(({ Name }) => Name),
      );
      await expectNoSandboxLeft(stack);
      await expectTracesOfAll(await stack.published('jaeger', 16686), stack.images.hasJaeger ? runId : null);
    },
  );

  test('with the profile `metrics`, Prometheus scrapes each replica, and has the alert rules', async (context) => {
    context.skip(!stack.images.hasPrometheus, 'there is no image of Prometheus');
    const prometheus = `http://${await stack.published('prometheus', 9090)}/api/v1`;
    const ask = async (what: string) => ((await (await fetch(`${prometheus}/${what}`)).json()) as { data: never }).data;
    const isUp = async () => {
      const { activeTargets } = (await ask('targets?state=active')) as { activeTargets: PrometheusTarget[] };
      const up = activeTargets.filter(({ health }) => health === 'up').map(({ labels }) => labels.job);
      expect(up.toSorted()).toEqual(
        scaledServices.flatMap((name) => Array.from({ length: scales[name] }, () => `coppice-${name}`)).toSorted(),
      );
      return true;
    };
    await eventually(isUp, { timeoutMs: 60_000 });
    const { groups } = (await ask('rules')) as { groups: { name: string; rules: unknown[] }[] };
    expect(groups.map(({ name, rules }) => [name, rules.length > 0])).toEqual([['coppice', true]]);
  });

  test('a container-service that can not find its paths on the host does not start', { timeout: 60_000 }, async () => {
    // With another host name, the service doesn't find its own container in the daemon.
    const service = await stack.compose('config', '--format', 'json');
    const { image, environment } = (JSON.parse(service) as ComposeConfig).services['container-service'];
    const settings = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
    const mounts = [
      ['--volume', `${stack.project}_user-container-service:/run/coppice:ro`],
      ['--volume', `${stack.project}_data:/var/lib/coppice`],
      ['--volume', `${process.env['COPPICE_DOCKER_SOCKET']}:/var/run/docker.sock`],
    ].flat();
    const options = ['--rm', '--hostname', 'elsewhere', '--network', `${stack.project}_bus`, '--user', '0:0'];
    const command = [image, 'deploy/services/as-user.js', 'apps/container-service/src/main.ts'];
    const started = promisify(execFile)('docker', ['run', ...options, ...mounts, ...settings, ...command]);
    await expect(started).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('engine-unavailable') as string,
    });
  });

  test('root as owner is rejected before anything starts; the error names the fix', { timeout: 60_000 }, async () => {
    for (const owner of ['0:0', `${uid}:0`]) {
      const run = stack.compose('run', '--rm', '--no-TTY', '--no-deps', '--env', `OWNER=${owner}`, 'volumes');
      await expect(run).rejects.toMatchObject({
        code: 2,
        stderr: expect.stringMatching(
          new RegExp(`COPPICE_UID and COPPICE_GID .*can't be root.*got ${owner}`),
        ) as string,
      });
    }
  });

  test('an added tenant can run an example, until its files are deleted', { timeout: 2 * runMsMax }, async () => {
    await stack.compose('run', '--rm', '--no-TTY', 'users', '--publisher', tenant);
    await stack.compose('restart', 'nats');
    await stack.compose('cp', 'users:/volumes/users/.', stack.users);
    const NATS_URL = `nats://${await stack.published('nats', 4222)}`;
    const env = { ...process.env, NATS_URL, NATS_CREDENTIALS_FILE: path.join(stack.users, `tenant-${tenant}.json`) };
    const list = async () => (await promisify(execFile)(process.execPath, [program, 'ls', '--json'], { env })).stdout;
    expect(await eventually(list, { timeoutMs: 30_000 })).toContain(runIdOf(tenant, 'compose'));
    const ofExample = { NATS_URL, NATS_NKEY: path.join(stack.users, `tenant-${tenant}.nk`), COPPICE_TENANT: tenant };
    expect(await playExample(stack, ofExample)).toMatch(/^run-ended succeeded$[\s\S]*^run-ended cancelled$/m);
    const takeBack = (await typedIn('docker-compose', '## ')).find((block) => block.includes('--entrypoint rm'));
    await stack.type((takeBack ?? '').replaceAll('NAME', tenant));
    const isRefused = async () => {
      await expect(list()).rejects.toMatchObject({ stderr: expect.stringContaining('refuses this user') as string });
      return true;
    };
    await eventually(isRefused, { timeoutMs: 30_000 });
    // After a restart the published port may differ.
    await bus.close();
    bus = await eventually(connect, { timeoutMs: 30_000 });
  });

  test("the guide's commands upgrade all services while tasks run", { timeout: 2 * startMsMax }, async () => {
    onTestFailed(async () => console.error((await stack.compose('logs', '--tail', '60')).slice(-20_000)));
    const [upgrade = ''] = await typedIn('Upgrading');
    expect(upgrade).toMatch(/^git pull\n/);
    const folder = path.join(stack.folder, 'upgraded');
    const { repository } = makeProject(folder, scripted);
    await writeFile(
      path.join(stack.folder, 'slow.yaml'),
      'default: { turns: [{ text: "slow\\n", latencyMs: 4000 }] }\n',
    );
    await giveTo(stack.folder, uid);
    // Enough tasks to outlast the upgrade.
    const tasks = Array.from({ length: 30 }, (_, index) => ({
      name: `task-${index}`,
      description: `Write ${index}`,
      prompt: 'write',
      agent: { kind: 'prompt', file: `${index}.txt` } as const,
      verify: 'true',
      model: 'scripted/slow.yaml',
    }));
    const request = { requestId: 'upgrade', repository, baseBranch: 'main', concurrency: 2, tasks };
    await bus.call(api.runSubmit, { tenant }, request);
    const runId = runIdOf(tenant, 'upgrade');
    const run = () => bus.call(api.runGet, { tenant }, { runId });
    const before = await Promise.all(scaledServices.map((name) => stack.containers(name)));
    const [natsBefore] = await stack.containers('nats');
    await bus.close();
    stack.becomeLater();
    await stack.type(upgrade.replace('git pull\n', ''));
    const upgradedAt = new Date().toISOString();
    // The server's container must be a new one. Otherwise it would have its old image and settings.
    expect((await stack.containers('nats'))[0]?.Id).not.toBe(natsBefore?.Id);
    bus = await eventually(connect, { timeoutMs: startMsMax });
    for (const [index, name] of scaledServices.entries()) {
      const earlier = before[index]?.map(({ Name, Id }) => [Name, Id]);
      const now = (await stack.containers(name)).map(({ Name, Id }) => [Name, Id]);
      expect(now.filter(([, id]) => earlier?.some(([, other]) => other === id))).toEqual([]);
      expect([name, now.length]).toEqual([name, scalesBySettings[name]]);
    }
    await eventually(async () => (await run()).state !== 'running', { timeoutMs: startMsMax });
    const { state, endedAt } = await run();
    expect({ state, ended: endedAt !== null && endedAt > upgradedAt }).toEqual({ state: 'succeeded', ended: true });
  });

  test("the guide's commands make a backup, and restore it", { timeout: 2 * startMsMax }, async () => {
    onTestFailed(async () => console.error((await stack.compose('logs', '--tail', '60')).slice(-20_000)));
    const [backUp = '', restore = ''] = await typedIn('Backup and restore');
    const runs = async () =>
      (await bus.call(api.runList, { tenant }, { limit: 10 })).runs.map(({ requestId }) => requestId);
    const type = async (commands: string) => {
      await bus.close();
      await stack.type(commands);
      bus = await eventually(connect, { timeoutMs: startMsMax });
      return eventually(runs, { timeoutMs: startMsMax });
    };
    const folder = path.join(stack.folder, 'kept');
    const { repository } = makeProject(folder, scripted);
    await writeFile(path.join(stack.folder, 'later.yaml'), 'default: { turns: [{ text: "later\\n" }] }\n');
    await giveTo(stack.folder, uid);
    const land = async (requestId: string) => {
      const agent = { kind: 'prompt', file: `${requestId}.txt` } as const;
      const task = { name: requestId, description: `Write ${requestId}`, prompt: 'write', agent, verify: 'true' };
      const tasks = [{ ...task, model: 'scripted/later.yaml' }];
      const request = { requestId, repository, baseBranch: 'main', tasks };
      // Repeats the call, since new services may not answer yet. A repeated request creates no new run.
      await eventually(() => bus.call(api.runSubmit, { tenant }, request), { timeoutMs: 60_000 });
      const runId = runIdOf(tenant, requestId);
      const state = async () => (await bus.call(api.runGet, { tenant }, { runId })).state;
      await eventually(async () => (await state()) === 'succeeded', { timeoutMs: 60_000 });
    };

    await land('kept');
    const before = await type(backUp);
    await land('lost');
    expect(await runs()).toEqual(['lost', ...before]);
    expect(await type(restore)).toEqual(before);
    await land('later');
  });

  test('up --wait recreates all services while other processes use the CPU', { timeout: 2 * startMsMax }, async () => {
    onTestFailed(async () => console.error((await stack.compose('logs', '--tail', '60')).slice(-20_000)));
    await using _ = startBusyProcesses(busyCount, (2 * startMsMax) / 1_000);
    await stack.compose('up', '--detach', '--wait', '--no-deps', '--force-recreate', ...scaledServices);
    const health = await Promise.all(
      scaledServices.map((name) => stack.compose('ps', '--format', '{{.Health}}', name)),
    );
    expect([...new Set(health.join('').trim().split('\n'))]).toEqual(['healthy']);
  });
});

test.skipIf(absent !== null)("compose accepts the guide's override for a further host", async () => {
  const [, text = ''] =
    /^```yaml\n(# docker-compose.override.yml\nservices:\n  worktree-service:\n    depends_on[\s\S]*?)^```$/m.exec(
      await readFile(guide, 'utf8'),
    ) ?? [];
  await using folder = await temporaryFolder('override');
  const override = path.join(folder.path, 'override.yaml');
  await writeFile(override, text);
  const files = ['--file', path.resolve(guide, '../../docker-compose.yml'), '--file', override];
  const compose = process.env['COPPICE_DOCKER_COMPOSE'] ?? 'docker-compose';
  const { stdout } = await promisify(execFile)(compose, [...files, 'config', '--format', 'json']);
  const { services } = JSON.parse(stdout) as ComposeConfig;
  for (const name of ['worktree-service', 'container-service'] as const) {
    const { environment, depends_on: dependsOn, networks } = services[name];
    expect(Object.keys(dependsOn)).toEqual(['volumes']);
    expect(Object.keys(networks).toSorted()).toEqual(['bus', 'outside']);
    expect(environment['NATS_URL']).toBe('nats://nats.example:4222');
    expect(environment['NATS_CREDENTIALS_FILE']).toBe(`/run/keys/${name}.json`);
  }
});

/** Returns one string per code block. */
async function typedIn(heading: string, level = '### '): Promise<string[]> {
  const section = (await readFile(guide, 'utf8')).split(`\n${level}${heading}\n`)[1]?.split(/\n##+ /)[0] ?? '';
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
}

/** Runs an example program with only the tenant's key. @returns its output */
async function playExample(stack: ComposeStack, environment: Record<string, string>): Promise<string> {
  const { repository } = makeProject(path.join(stack.folder, 'example'), scripted);
  // So slow that the example cancels the task before the answer.
  const slow = '{ when: { contains: long book }, turns: [{ text: "book\\n", latencyMs: 600000 }] }';
  const rest = 'default: { turns: [{ text: "short\\n" }] }';
  await writeFile(path.join(stack.folder, 'example.yaml'), `rules:\n  - ${slow}\n${rest}\n`);
  await giveTo(stack.folder, uid);
  const settings = { env: { ...process.env, ...environment }, timeout: runMsMax };
  const example = path.resolve(import.meta.dirname, '../../examples/typescript/example.ts');
  const words = [example, repository, 'scripted/example.yaml'];
  return (await promisify(execFile)(process.execPath, words, settings)).stdout;
}

type PrometheusTarget = { health: string; labels: { job: string } };

type ComposeService = {
  image: string;
  environment: Record<string, string>;
  depends_on: Record<string, unknown>;
  networks: Record<string, unknown>;
};
type ComposeConfig = { services: Record<'worktree-service' | 'container-service', ComposeService> };

async function expectBegunAnew(stack: ComposeStack, names: readonly string[]): Promise<void> {
  for (const service of scaledServices) {
    const isAnew = async () => {
      const [crashed] = (await stack.containers(service)).filter(({ Name }) => names.includes(Name));
      return crashed?.State.Running === true && crashed.RestartCount === 1;
    };
    await eventually(isAnew, { timeoutMs: 30_000, description: `a restart of ${service}` });
  }
}

async function expectNoSandboxLeft(stack: ComposeStack): Promise<void> {
  const [container] = await stack.containers('container-service');
  if (container === undefined) throw new Error('container-service has no container');
  const id = (await stack.read(container, 'cat /var/lib/coppice/container-service/stack-id')).trim();
  const { stdout } = await promisify(execFile)('docker', [
    'ps',
    '--all',
    '--quiet',
    '--filter',
    `label=coppice.stack=${id}`,
  ]);
  expect([id.length > 8, stdout]).toEqual([true, '']);
}

/**
 * Checks that Jaeger has spans of all services. If `runId` isn't null, one trace must have spans of all services and of
 * the model's requests. The stand-in for Jaeger stores no traces.
 */
async function expectTracesOfAll(jaeger: string, runId: string | null): Promise<void> {
  const isThere = async () => {
    const { data } = (await (await fetch(`http://${jaeger}/api/services`)).json()) as { data: string[] | null };
    return scaledServices.every((name) => data?.includes(name) === true);
  };
  await eventually(isThere, { timeoutMs: 30_000, description: 'spans of all services' });
  if (runId === null) return;
  const tags = encodeURIComponent(JSON.stringify({ 'coppice.run.id': runId }));
  // Searches the spans of a service whose spans have the run's id. A found trace contains the spans of all services.
  const hasOneTrace = async () => {
    const found = await fetch(`http://${jaeger}/api/traces?service=worktree-service&limit=100&tags=${tags}`);
    const { data } = (await found.json()) as { data: JaegerTrace[] };
    expect(data).toHaveLength(1);
    const [trace] = data;
    const services = new Set(Object.values(trace?.processes ?? {}).map(({ serviceName }) => serviceName));
    expect([...services]).toEqual(expect.arrayContaining(scaledServices));
    const keys = new Set(trace?.spans.flatMap((span) => span.tags.map(({ key }) => key)));
    expect([...keys]).toEqual(expect.arrayContaining(['gen_ai.request.model', 'gen_ai.usage.output_tokens']));
    return true;
  };
  await eventually(hasOneTrace, { timeoutMs: 30_000, description: 'one trace of the run' });
}

type JaegerTrace = {
  processes: Record<string, { serviceName: string }>;
  spans: { tags: { key: string }[] }[];
};

/** Probes an engine. First checks that a command runs with the expected folders, then runs the trials in probe.ts. */
import { randomUUID } from 'node:crypto';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { DiskMeter } from './disk-watch.ts';
import type { Launcher, SandboxRecord } from './launcher.ts';
import { answered, NoAnswer } from './no-answer.ts';
import { enforceable, isPending, type Enforceable, type Enforcement, type EngineReport } from './port.ts';
import { generousLimits, probeLimits, trials, type Findings, type ProbePlace, type Trial } from './probe.ts';
import { homeTarget, workspaceTarget } from './specification.ts';
import { supervise } from './supervise.ts';

export interface ProbeOptions {
  /** Folder of the engine's records, homes and images. Created when missing. */
  stateFolder: string;
  stackId: string;
  probeImage: string;
  /** Time limit of a command in the first probe. Default: `firstMsMax`. */
  probeMsMax?: number;
  /** Pause before the first retry of pending facts. Default: 2 s. */
  pauseMs?: number;
}

/**
 * Time limits of a command. The limit is short in the first probe, since the service's start waits for it. Retries in
 * the background have the longer limit.
 */
const firstMsMax = 20_000;
const againMsMax = 60_000;

/**
 * @throws NoAnswer if the first command takes too long
 * @throws CoppiceError `engine-unavailable` if no command runs
 */
export async function probeEngine(launcher: Launcher, options: ProbeOptions): Promise<EngineReport> {
  const started = performance.now();
  const version = await launcher.connect();
  const image = await launcher.ensureImage(options.probeImage, () => undefined);
  const findings = await inProbeSandbox(
    launcher,
    options,
    { timeoutMs: options.probeMsMax ?? firstMsMax },
    async (place) => {
      await proveMount(place);
      // Runs the trials in parallel, so that the start waits only for the slowest one. No result may depend on how fast
      // a trial runs.
      return Promise.all(trials.map((trial) => findingsOf(trial, place)));
    },
  );
  const enforces = Object.assign({}, ...findings) as Record<Enforceable, Enforcement>;
  return {
    engine: launcher.name,
    version,
    image,
    enforces,
    durationMs: Math.round(performance.now() - started),
  };
}

/** Runs the trials of pending facts again, one at a time. */
export async function probeAgain(
  launcher: Launcher,
  options: ProbeOptions,
  report: EngineReport,
  signal: AbortSignal,
): Promise<EngineReport> {
  const enforces = { ...report.enforces };
  const isUnknown = (trial: Trial) => trial.facts.some((fact) => isPending(enforces[fact]));
  await inProbeSandbox(launcher, options, { timeoutMs: againMsMax, signal }, async (place) => {
    for (const trial of trials.filter(isUnknown)) {
      if (signal.aborted) return;
      Object.assign(enforces, await findingsOf(trial, place));
    }
  });
  return { ...report, enforces };
}

async function findingsOf(trial: Trial, place: ProbePlace): Promise<Findings> {
  try {
    return await trial.run(place);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const unknown: Enforcement = { enforced: null, how: error.message };
    return Object.fromEntries(enforceable.filter((name) => trial.facts.includes(name)).map((name) => [name, unknown]));
  }
}

const unwatched = new DiskMeter([]);

async function inProbeSandbox<Result>(
  launcher: Launcher,
  { stateFolder, probeImage, stackId }: ProbeOptions,
  execLimits: { timeoutMs: number; signal?: AbortSignal },
  work: (place: ProbePlace) => Promise<Result>,
): Promise<Result> {
  const folder = join(stateFolder, 'probe', randomUUID());
  const workspace = join(folder, 'workspace');
  const home = join(folder, 'home');
  const user = launcher.defaultUser();
  for (const path of [workspace, home]) {
    await mkdir(path, { recursive: true, mode: 0o755 });
    if (process.getuid?.() === 0) await chown(path, user.uid, user.gid);
  }
  const record: SandboxRecord = {
    id: `probe-${randomUUID()}`,
    image: probeImage,
    labels: { stackId, tenant: 'probe', runId: 'probe', taskId: 'probe' },
    mounts: [
      { source: home, target: homeTarget, readOnly: false },
      { source: workspace, target: workspaceTarget, readOnly: false },
    ],
    env: {},
    user,
    limits: probeLimits,
    network: 'none',
  };
  const run: ProbePlace['run'] = (script, limits = {}, network = 'none', disk = unwatched) => {
    const request = {
      record: { ...record, limits: { ...generousLimits, ...limits }, network },
      execId: randomUUID(),
      argv: ['/bin/sh', '-c', script],
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: homeTarget, LANG: 'C.UTF-8' },
      stdin: undefined,
    };
    return supervise((sink) => launcher.launch(request, sink), { ...execLimits, keepBytes: 64 * 1024 }, disk);
  };
  try {
    return await work({ run, workspace, uid: user.uid, engine: launcher.name });
  } finally {
    await launcher.endAll(record.id);
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Checks that a command runs and that the engine mounts this process's folder. A daemon on another machine would mount
 * a different folder with the same path.
 */
async function proveMount({ run, workspace, engine }: ProbePlace): Promise<void> {
  const sentinel = randomUUID();
  await writeFile(join(workspace, 'sentinel'), sentinel, { mode: 0o644 });
  const result = answered(await run('cat sentinel && echo written > answer && : > "$HOME/probe"'));
  const answer = await readFile(join(workspace, 'answer'), 'utf8').catch(() => '');
  if (result.exitCode === 0 && result.stdout.text === sentinel && answer === 'written\n') return;
  if (result.exitCode === 0 && result.stdout.text !== sentinel) {
    throw new CoppiceError(
      'engine-unavailable',
      `engine ${engine}: it mounts a different folder for ${workspace}: a file in it does not have the content that this process wrote. ` +
        'Does the engine run on this machine, and does it see the folder at the same path?',
    );
  }
  const what = `it exited with ${result.exitCode} and said ${JSON.stringify((result.stderr.text || result.stdout.text).slice(0, 400))}`;
  throw new CoppiceError(
    'engine-unavailable',
    `engine ${engine}: a probe command couldn't read and write its workspace and home: ${what}`,
  );
}

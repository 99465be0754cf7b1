/**
 * Plans a chaos run from a seed. Every task lists its valid end states and its files, so that the checks don't depend
 * on how the services work.
 */
import type { TaskState } from '@coppice/contracts';
import type { tracesOfTask } from './ambush.ts';
import type { Random } from './random.ts';

export const repositoryNames = ['bare', 'checked-out'] as const;
export type RepositoryName = (typeof repositoryNames)[number];

export type PlannedTask = {
  name: string;
  kind: TaskKind;
  /** The task as in a run file. */
  request: Record<string, unknown>;
  /** Turns of the scripted model. */
  turns: object[];
  /** Content by path in the task's own commit. For the kind `shared`, only the changed line. */
  files: Record<string, string>;
  ends: TaskState[];
  /** Pattern of the reason if the task doesn't land. */
  reason?: RegExp;
  /** Time at which a user cancels the task. `ms` counts from the wave's submission, or from a trace of ambush.ts. */
  cancel?: { after: 'submission' | keyof typeof tracesOfTask; ms: number };
};

export type Wave = {
  requestId: string;
  repository: RepositoryName;
  /** Milliseconds from the start until the submission. */
  atMs: number;
  /** `request` is request and reply. `intake` is the durable intake. */
  by: 'request' | 'intake';
  tasks: PlannedTask[];
};

const taskKinds = [
  'write',
  'loop',
  'dependent',
  'rival',
  'shared',
  'failing',
  'manual',
  'cancelled',
  'squash',
] as const;
export type TaskKind = (typeof taskKinds)[number];
/** Number of tasks of each kind among 20 tasks. Rivals come in pairs. */
const shares: Readonly<Record<TaskKind, number>> = {
  write: 3,
  loop: 4,
  dependent: 3,
  rival: 2,
  shared: 2,
  failing: 1,
  manual: 1,
  cancelled: 3,
  squash: 1,
};

const waveTasks = 10;
const latencyMsMax = 2_500;
/** Maximum latency of a task's last turn. So short that the checkpoint of the turn before may still be in progress. */
const finishMsMax = 400;
const cancelMsMax = 12_000;
/** Maximum delay of a cancellation after the trace `import`. Git's import takes about as long. */
const importMsMax = 30;
const lockMsMax = 4;
const concurrency = 6;
/** Waits while the disk is full. A real model would see the error and wait, but a script can't. */
const waitForRoom =
  'for i in $(seq 60); do [ "$(df --output=avail . | tail -n 1)" -gt 4096 ] && break; sleep 0.5; done';
/**
 * Number of lines of the shared file. Each `shared` task changes one line. The changed lines are far enough apart that
 * git can merge the changes.
 */
const sharedLines = 400;
const sharedStep = 4;

export const baseFiles: Readonly<Record<string, string>> = {
  'README.md': '# A repository\n',
  'check.sh': 'sleep 0.2\nif grep -rq BROKEN out; then echo "out holds BROKEN"; exit 1; fi\n',
  'shared.txt': Array.from({ length: sharedLines }, (_, index) => `line ${index}\n`).join(''),
};

export function planWaves(options: { tasks: number; minutes: number; random: Random }): Wave[] {
  const { tasks, minutes, random } = options;
  const kinds = kindsFor(tasks, random);
  const count = Math.max(1, Math.ceil(kinds.length / waveTasks));
  const spacingMs = (minutes * 60_000) / count;
  const waves: Wave[] = [];
  let shared = 0;
  for (let wave = 0; wave < count; wave++) {
    const planned: PlannedTask[] = [];
    for (const [index, kind] of kinds.slice(wave * waveTasks, (wave + 1) * waveTasks).entries()) {
      const name = `w${wave}-${kind}-${index}`;
      planned.push(planTask({ name, kind, wave: planned, sharedLine: shared * sharedStep, random }));
      if (kind === 'shared') shared = (shared + 1) % (sharedLines / sharedStep);
    }
    waves.push({
      requestId: `wave-${wave}`,
      repository: repositoryNames[wave % repositoryNames.length] ?? 'bare',
      atMs: Math.round(wave * spacingMs * random.integer(85, 100) * 0.01),
      by: wave % 3 === 2 ? 'intake' : 'request',
      tasks: planned,
    });
  }
  return waves;
}

/** The two rivals of a pair are next to each other and in the same wave. */
function kindsFor(tasks: number, random: Random): TaskKind[] {
  const deck = taskKinds.flatMap((kind) =>
    Array.from({ length: kind === 'rival' ? shares.rival / 2 : shares[kind] }, () => kind),
  );
  const kinds: TaskKind[] = [];
  while (kinds.length < tasks) {
    for (const kind of random.shuffle(deck)) {
      if (kinds.length >= tasks) break;
      if (kind !== 'rival') kinds.push(kind);
      else if (kinds.length % waveTasks < waveTasks - 1 && kinds.length + 2 <= tasks) kinds.push('rival', 'rival');
    }
  }
  return kinds;
}

type Place = { name: string; kind: TaskKind; wave: readonly PlannedTask[]; sharedLine: number; random: Random };

function planTask(place: Place): PlannedTask {
  const { name, kind, random } = place;
  const file = `out/${name}.txt`;
  const content = `${name}\n`;
  const latencyMs = () => random.integer(50, latencyMsMax);
  const prompt: PlannedTask = {
    name,
    kind,
    request: { agent: { kind: 'prompt', file } },
    turns: [{ text: content, latencyMs: latencyMs() }],
    files: { [file]: content },
    ends: ['merged'],
  };
  switch (kind) {
    case 'write':
      return prompt;
    case 'loop':
      return {
        ...prompt,
        request: { agent: { kind: 'loop' } },
        turns: loopTurns(file, content, latencyMs, random.integer(0, finishMsMax)),
      };
    case 'dependent':
      return dependent(prompt, place);
    case 'rival': {
      // Both rivals of a pair write the same file. The second rival has a conflict, unless it starts after the first
      // has landed.
      const before = place.wave.at(-1);
      const pair = before?.kind === 'rival' && before.name.endsWith('-a') ? before.name.slice(0, -2) : null;
      const own = `${pair ?? name}-${pair === null ? 'a' : 'b'}`;
      const rivalFile = `out/${pair ?? name}.txt`;
      return {
        ...prompt,
        name: own,
        request: { agent: { kind: 'prompt', file: rivalFile } },
        turns: [{ text: `${own}\n`, latencyMs: latencyMs() }],
        files: { [rivalFile]: `${own}\n` },
        ends: ['merged', 'failed'],
        reason: /conflict/,
      };
    }
    case 'shared':
      return sharedTask(prompt, place, latencyMs);
    case 'failing':
      return {
        ...prompt,
        turns: [{ text: 'BROKEN\n', latencyMs: latencyMs() }],
        files: {},
        ends: ['failed'],
        reason: /verif|exit code|check\.sh/,
      };
    case 'manual':
      return { ...prompt, request: { ...prompt.request, merge: 'manual' } };
    case 'cancelled':
      return {
        ...prompt,
        request: { agent: { kind: 'loop' } },
        turns: loopTurns(file, content, latencyMs, random.integer(0, finishMsMax)),
        ends: ['cancelled', 'merged'],
        reason: /./,
        cancel: random.pick([
          { after: 'submission', ms: random.integer(0, cancelMsMax) },
          { after: 'import', ms: random.integer(0, importMsMax) },
          { after: 'lock', ms: random.integer(0, lockMsMax) },
        ]),
      };
    default:
      return { ...prompt, request: { ...prompt.request, method: 'squash' } };
  }
}

/** The checked file is always written completely, so a write may be repeated after its executor was lost. */
function loopTurns(file: string, content: string, latencyMs: () => number, finishMs: number): object[] {
  const write = { name: 'write', arguments: { path: file, content } };
  return [
    {
      text: 'I look.',
      toolCalls: [
        { name: 'list', arguments: { path: '.' } },
        { name: 'read', arguments: { path: 'README.md' } },
      ],
      latencyMs: latencyMs(),
    },
    { toolCalls: [write, { name: 'run', arguments: { command: 'sleep 0.3; ls out' } }], latencyMs: latencyMs() },
    {
      toolCalls: [
        { name: 'search', arguments: { pattern: 'repository' } },
        { name: 'run', arguments: { command: waitForRoom } },
        write,
      ],
      latencyMs: latencyMs(),
    },
    { toolCalls: [{ name: 'finish', arguments: { summary: `${file} is written.` } }], latencyMs: finishMs },
  ];
}

/** The agent runs the same command three times. If the outcome of one is unknown, the next one corrects the file. */
function sharedTask(prompt: PlannedTask, { name, sharedLine }: Place, latencyMs: () => number): PlannedTask {
  const run = {
    name: 'run',
    arguments: { command: `${waitForRoom}; sed -i 's/^line ${sharedLine}$/${name}/' shared.txt` },
  };
  return {
    ...prompt,
    request: { agent: { kind: 'loop' } },
    turns: [
      ...Array.from({ length: 3 }, () => ({ toolCalls: [run], latencyMs: latencyMs() })),
      { toolCalls: [{ name: 'finish', arguments: { summary: 'The line is changed.' } }] },
    ],
    files: { 'shared.txt': name },
  };
}

function dependent(prompt: PlannedTask, { wave, random }: Place): PlannedTask {
  const candidates = wave.filter(
    ({ kind }) => kind === 'write' || kind === 'loop' || kind === 'squash' || kind === 'dependent',
  );
  if (candidates.length === 0) return prompt;
  const before = [...new Set([random.pick(candidates), random.pick(candidates)])];
  const tests = before.flatMap(({ files }) => Object.keys(files)).map((path) => `test -f ${path}`);
  return {
    ...prompt,
    request: {
      ...prompt.request,
      dependsOn: before.map(({ name }) => name),
      verify: [...tests, 'sh check.sh'].join(' && '),
    },
  };
}

export function requestOf(wave: Wave, place: { repository: string; model: string }): Record<string, unknown> {
  return {
    requestId: wave.requestId,
    repository: place.repository,
    baseBranch: 'main',
    concurrency,
    defaults: { model: place.model, verify: 'sh check.sh', limits: { time: '30m' } },
    tasks: wave.tasks.map(({ name, request }) => ({
      name,
      description: `Do ${name}`,
      prompt: `Do the task ${name}.`,
      ...request,
    })),
  };
}

/** Returns the script as JSON, which is also valid YAML. */
export const scriptOf = (waves: readonly Wave[]): string =>
  JSON.stringify({
    rules: waves.flatMap(({ tasks }) =>
      tasks.map(({ name, turns }) => ({ name, when: { contains: `Do the task ${name}.` }, turns })),
    ),
  });

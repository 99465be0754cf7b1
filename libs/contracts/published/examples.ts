/**
 * Examples of every message, for the AsyncAPI document and docs/protocol.md. They come from a run of one task. Tests
 * check that each example fits its schema, and that docs/protocol.md has no other examples.
 */
import { createHash } from 'node:crypto';
import { artifactNames, messageHeaders } from '@coppice/contracts';
import { chatExamples } from './chat-examples.ts';

export type Example = { name: string; payload: unknown; headers?: Record<string, string> };

const runId = 'r4cjp3ia4524l22n3';
const taskId = 'tkqzutpe3wz5pfg6i';
const usage = { inputTokens: 812, outputTokens: 64, costUsd: 0.003 };
const commit = '8744ff127046f0b86865e085ed96d651a57e37a4';
const landedCommit = 'ccd2548d488977253da21ef13e8586968bd5a072';
const incarnation = 'task_acme_tkqzutpe3wz5pfg6i_1442b2d03b23271';

const one = (payload: unknown, name = 'example'): Example[] => [{ name, payload }];

const runRequest = {
  requestId: 'release-42-notes',
  repository: '/srv/git/shop.git',
  baseBranch: 'main',
  defaults: { model: 'scripted/plan.yaml' },
  tasks: [
    {
      name: 'notes',
      description: 'Write the notes of release 42',
      prompt: 'Write NOTES.md from the log since v41.',
      agent: { kind: 'prompt', file: 'NOTES.md' },
      verify: 'sh check.sh',
    },
  ],
};

/** A request with every field, each with a value other than its default. */
const fullRunRequest = {
  ...runRequest,
  requestId: 'release-42-checkout',
  concurrency: 2,
  defaults: {
    image: 'node:24',
    model: 'scripted/plan.yaml',
    agent: { kind: 'loop', turns: 40, tokens: 500_000, contextTokens: 64_000 },
    setup: { run: 'npm ci', inputs: ['package-lock.json'] },
    network: { setup: 'full', agent: 'none', verify: 'none' },
    commit: { type: 'fix', scope: 'checkout' },
    protect: ['.github/**'],
    limits: { time: '45m' },
    verify: 'npm test',
    merge: 'manual',
    method: 'squash',
  },
  tasks: [
    { name: 'rounding', description: 'Round prices once', prompt: 'Prices are rounded twice. Round them once.' },
    {
      name: 'notes',
      description: 'Say so in the notes',
      prompt: 'Say in NOTES.md that prices are rounded once.',
      dependsOn: ['rounding'],
      agent: { kind: 'prompt', file: 'NOTES.md' },
      verify: false,
    },
  ],
};

const runSummary = {
  runId,
  tenant: 'acme',
  requestId: 'release-42-notes',
  repository: '/srv/git/shop.git',
  baseBranch: 'main',
  state: 'succeeded',
  concurrency: 4,
  modelLimits: { tokens: 2_000_000 },
  createdAt: '2026-11-24T14:29:13.966Z',
  endedAt: '2026-11-24T14:29:14.732Z',
};

const merged = {
  taskId,
  runId,
  tenant: 'acme',
  name: 'notes',
  description: 'Write the notes of release 42',
  state: 'merged',
  reason: null,
  failure: null,
  branch: `coppice/${taskId}/write-the-notes-of-release-42`,
  commit,
  landedCommit,
  finishCommand: null,
  rescue: null,
  filesChanged: 1,
  agent: { kind: 'prompt', file: 'NOTES.md' },
  summary: null,
  protectedPaths: [],
  usage,
  modelLimits: { task: { tokens: 500_000, costUsd: 2 }, run: { tokens: 2_000_000 } },
  modelTurns: 1,
  modelTurnsUnknown: 0,
  logTail: null,
  logArtifact: null,
  createdAt: '2026-11-24T14:29:13.981Z',
  updatedAt: '2026-11-24T14:29:14.728Z',
  endedAt: '2026-11-24T14:29:14.728Z',
};

/** The task while it runs, for answers that have its state after the request. */
const going = { ...merged, landedCommit: null, endedAt: null };
const reason = 'the release was called off';
const leaving = { ...going, state: 'cleaning', reason };

const checkLog = 'NOTES.md has 3 lines\nok\n';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const logArtifact = artifactNames.log({ tenant: 'acme', taskId }, `${incarnation}_15`, sha256(checkLog).slice(0, 16));
const artifact = (text: string) => ({
  data: base64(text),
  totalBytes: Buffer.byteLength(text),
  sha256: sha256(text),
});

const submitted = (created: boolean) => ({ runId, created, tasks: [{ name: 'notes', taskId }], unprotected: [] });

export const methodExamples: Record<string, { input: Example[]; output: Example[] }> = {
  'run.submit': {
    input: [
      { name: 'smallest', payload: runRequest },
      { name: 'every-field', payload: fullRunRequest },
    ],
    output: [
      { name: 'first', payload: submitted(true) },
      { name: 'repeated', payload: submitted(false) },
    ],
  },
  'run.get': {
    input: one({ runId }),
    output: one({ ...runSummary, usage, tasks: [{ taskId, name: 'notes', state: 'merged', reason: null }] }),
  },
  'run.list': {
    input: one({ limit: 1 }),
    output: one({ runs: [{ ...runSummary, taskCounts: { merged: 1 } }], more: false }),
  },
  'run.cancel': { input: one({ runId, reason }), output: one({ runId }) },
  'task.get': { input: one({ taskId }), output: one(merged) },
  'task.list': { input: one({ runId, limit: 50 }), output: one({ tasks: [merged], more: false }) },
  'task.cancel': { input: one({ taskId, reason }), output: one(leaving) },
  'task.approve': { input: one({ taskId }), output: one({ ...going, state: 'landing' }) },
  'task.reject': { input: one({ taskId, reason }), output: one(leaving) },
  'task.merge': { input: one({ taskId }), output: one({ ...going, state: 'landing' }) },
  'task.discard': { input: one({ taskId, keepBranch: true, reason }), output: one(leaving) },
  'task.diff': {
    input: one({ taskId }),
    output: one({
      patch:
        'diff --git a/NOTES.md b/NOTES.md\nnew file mode 100644\n--- /dev/null\n+++ b/NOTES.md\n@@ -0,0 +1 @@\n+# Notes\n',
      truncated: false,
      commit,
      baseCommit: '1f0c5b1d94a4c0dd4bd0f5b1d1a2f8f4f6f7a0c3',
    }),
  },
  'task.bundle': {
    input: [
      { name: 'thin', payload: { taskId } },
      { name: 'whole', payload: { taskId, whole: true } },
    ],
    output: one({
      bundle: artifactNames.bundle(
        { tenant: 'acme', taskId },
        createHash('sha256').update(commit).digest('hex'),
        new Date('2026-11-24T14:29:14Z'),
      ),
      ref: `refs/coppice/merged/${taskId}`,
      commit,
      baseCommit: '1f0c5b1d94a4c0dd4bd0f5b1d1a2f8f4f6f7a0c3',
      work: 'landed',
    }),
  },
  'artifact.get': {
    input: [
      { name: 'whole', payload: { name: logArtifact } },
      { name: 'part', payload: { name: logArtifact, offset: 0, length: 10 } },
    ],
    output: [
      { name: 'whole', payload: { ...artifact(checkLog), nextOffset: null } },
      { name: 'part', payload: { ...artifact(checkLog), data: base64(checkLog.slice(0, 10)), nextOffset: 10 } },
    ],
  },
  ...chatExamples,
};

const issue = (field: string, expected: string, received: string) => ({ field, expected, received });

const refusals = {
  'invalid-request': {
    code: 'invalid-request',
    message: 'run.submit: tasks[0].prompt: expected string, received nothing (and 1 more)',
    retryable: false,
    details: {
      issues: [issue('tasks[0].prompt', 'string', 'nothing'), issue('tasks[0].colour', 'no such field', '"red"')],
    },
  },
  conflict: {
    code: 'conflict',
    message: "the task has ended and can't be merged",
    retryable: false,
    details: { state: 'merged' },
  },
  'already-exists': {
    code: 'already-exists',
    message: 'run.submit: requestId: "release-42-notes" was used before for another request',
    retryable: false,
    details: { issues: [issue('requestId', 'an id that names no other run', '"release-42-notes"')], runId },
  },
  'repeated field': {
    code: 'invalid-request',
    message: 'run.submit: tasks[0].name: expected each field once, received it again at line 3, column 42',
    retryable: false,
    details: {
      issues: [issue('tasks[0].name', 'each field once', 'it again at line 3, column 42')],
      line: 3,
      column: 42,
    },
  },
};

export const errorExamples: Example[] = Object.entries(refusals).map(([name, error]) => ({
  name,
  headers: { [messageHeaders.errorCode]: error.code, [messageHeaders.errorText]: error.message },
  payload: { error },
}));

const refusedByIntake = {
  code: 'invalid-request',
  message: 'run.submit: colour: expected no such field, received "red"',
  retryable: false,
  details: { issues: [issue('colour', 'no such field', '"red"')] },
};

const event = (type: string, id: string, source: string, time: string, sequence: number, data: object) =>
  one({
    specversion: '1.0',
    id,
    source: `/coppice/${source}`,
    type: `coppice.${type}`,
    time,
    datacontenttype: 'application/json',
    sequence: String(sequence),
    data,
  });

const ofRun = (type: string, counter: number, time: string, sequence: number, data: object) =>
  event(type, `run_acme_${runId}_5307e1e070e7ed3_${counter}`, `run/acme.${runId}`, time, sequence, { runId, ...data });
const ofTask = (type: string, counter: number, time: string, sequence: number, data: object) =>
  event(type, `${incarnation}_${counter}`, `task/acme.${taskId}`, time, sequence, {
    runId,
    taskId,
    name: 'notes',
    ...data,
  });

const step = (what: string, [orderedAt, endedAt]: [string, string], [queuedMs, workedMs]: [number, number]) => ({
  what,
  orderedAt,
  endedAt,
  queuedMs,
  workedMs,
  error: null,
});

/** Examples by event type, which is the last token of the subject. */
export const eventExamples: Record<string, Example[]> = {
  'run-submitted': ofRun('run-submitted', 1, '2026-11-24T14:29:13.966Z', 1, {
    requestId: 'release-42-notes',
    repository: '/srv/git/shop.git',
    baseBranch: 'main',
    tasks: 1,
  }),
  'run-refused': event('run-refused', 'intake_1', 'intake', '2026-11-24T14:29:14.794Z', 1, {
    runId: 'rq7vwkvcjux74pf6j',
    requestId: 'by-intake',
    failure: refusedByIntake,
  }),
  'intake-refused': event('intake-refused', 'intake_2', 'intake', '2026-11-24T14:29:15.102Z', 1, {
    intakeSequence: 2,
    failure: {
      ...refusedByIntake,
      message: 'run.submit: requestId: expected string, received nothing',
      details: { issues: [issue('requestId', 'string', 'nothing')] },
    },
  }),
  'run-ended': ofRun('run-ended', 4, '2026-11-24T14:29:14.732Z', 2, {
    state: 'succeeded',
    taskCounts: { merged: 1 },
    usage,
  }),
  'task-state': ofTask('task-state', 5, '2026-11-24T14:29:14.148Z', 3, {
    from: 'preparing',
    to: 'working',
    reason: null,
    steps: [
      step('worktree-service.prepare', ['2026-11-24T14:29:13.985Z', '2026-11-24T14:29:14.071Z'], [3, 79]),
      step('container-service.create', ['2026-11-24T14:29:14.071Z', '2026-11-24T14:29:14.148Z'], [2, 71]),
    ],
  }),
  'task-turn': ofTask('task-turn', 9, '2026-11-24T14:29:14.210Z', 4, {
    turn: 1,
    turnId: `${incarnation}_7`,
    text: 'First I look at what is there.',
    calls: [{ name: 'run', about: 'git log --oneline v41..' }],
    usage,
    steps: [step('llm-gateway.turn', ['2026-11-24T14:29:14.148Z', '2026-11-24T14:29:14.210Z'], [2, 56])],
  }),
  'task-ended': ofTask('task-ended', 23, '2026-11-24T14:29:14.728Z', 9, {
    state: 'merged',
    reason: null,
    failure: null,
    branch: merged.branch,
    commit,
    landedCommit,
    finishCommand: null,
    rescue: null,
    logTail: null,
    usage,
  }),
};

export const intakeExamples = {
  request: one(runRequest),
  stored: one({ stream: 'coppice-intake', seq: 1 }),
};

export const transcriptExamples = one({
  effectId: `${incarnation}_7`,
  owner: { tenant: 'acme', runId, taskId },
  model: 'scripted/plan.yaml',
  continues: null,
  request: {
    text: '[{"role":"user","content":[{"type":"text","text":"Write NOTES.md from the log since v41."}]}]',
  },
  output: {
    turnId: `${incarnation}_7`,
    text: { text: '# Notes\n' },
    toolCalls: [],
    finishReason: 'stop',
    usage,
    responseModel: 'plan.yaml',
    latencyMs: 10,
    queuedMs: 2,
    attempts: 1,
  },
  time: '2026-11-24T14:29:14.169Z',
});

export const logExamples = one({
  sandboxId: `${taskId}-verify-1`,
  stream: 'stdout',
  text: 'NOTES.md\n',
  time: '2026-11-24T14:29:14.530Z',
});

export const deadLetterExamples = one({
  subject: 'coppice.intake.acme.run',
  reason: refusedByIntake,
  deliveryCount: 1,
  publishedAt: '2026-11-24T14:29:14.791Z',
  deadAt: '2026-11-24T14:29:14.793Z',
  headers: {},
  bytes: 33,
  data: 'eyJyZXF1ZXN0SWQiOiJieS1pbnRha2UiLCJyZXBvc2l0',
});

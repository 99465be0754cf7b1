/**
 * Every subject, stream and bucket of Coppice, in one place. The table in ARCHITECTURE.md tells what each is for.
 */
export const streams = {
  /** Inboxes, timers and stashes of actors: one stream, since a scheduled message must target its own stream. */
  actors: 'coppice-actors-inbox',
  commands: 'coppice-commands',
  /** What publishers send. Without schedules: a schedule's source and target may be any subject of its stream, so that one tenant could read and write another's. */
  intake: 'coppice-intake',
  /** Requests of the intake that are looked at again. */
  intakeLater: 'coppice-intake-later',
  events: 'coppice-events',
  transcripts: 'coppice-transcripts',
  logs: 'coppice-logs',
  deadLetters: 'coppice-deadletters',
} as const;

export const buckets = {
  actors: 'coppice-actors',
  effects: 'coppice-effects',
  members: 'coppice-members',
  artifacts: 'coppice-artifacts',
  /** Artifacts that can be made again, kept for a while. */
  bundles: 'coppice-bundles',
  /** What tasks, runs and tenants have used of models, and which gateway may use how much more. */
  budgets: 'coppice-budgets',
  /** Public keys of the tokens that gateways mint, by their thumbprint. */
  gatewayKeys: 'coppice-gateway-keys',
  /** Answers of models, for the same request again. */
  llmCache: 'coppice-llm-cache',
  /** Items of answers that clients name by their ids. */
  llmItems: 'coppice-llm-items',
} as const;

export const subjects = {
  api: (tenant: string, method: string) => `coppice.api.${tenant}.${method}`,
  apiOfAnyTenant: (method: string) => `coppice.api.*.${method}`,
  /** Request/reply between services; never for effects. */
  call: (service: string, operation: string) => `coppice.call.${service}.${operation}`,
  /** The same, to the processes of one node. */
  callOnNode: (service: string, operation: string, node: string) => `coppice.call.${service}.${operation}.${node}`,
  intake: (tenant: string) => `coppice.intake.${tenant}.run`,
  /** Where a request waits until the services that it needs answer; matched by no consumer. */
  intakeLater: (tenant: string, requestToken: string) => `coppice.intake-later.${tenant}.${requestToken}`,
  /** Where it comes back. */
  intakeAgain: (tenant: string) => `coppice.intake-again.${tenant}.run`,
  actor: (kind: string, id: string) => `coppice.actor.${kind}.${id}`,
  timer: (kind: string, id: string, effectId: string) => `coppice.timer.${kind}.${id}.${effectId}`,
  stash: (kind: string, id: string) => `coppice.stash.${kind}.${id}`,
  command: (service: string, pool: string, operation: string) => `coppice.cmd.${service}.${pool}.${operation}`,
  /** Where a command waits until it is looked at again; matched by no consumer. */
  commandLater: (service: string, effectId: string) => `coppice.cmd-later.${service}.${effectId}`,
  event: (tenant: string, runId: string, taskId: string, type: string) =>
    `coppice.event.${tenant}.${runId}.${taskId}.${type}`,
  transcript: (tenant: string, taskId: string) => `coppice.transcript.${tenant}.${taskId}`,
  log: (tenant: string, taskId: string) => `coppice.log.${tenant}.${taskId}`,
  /** One gateway asks the others to give back what they don't need of a budget. */
  gatewayBudgetWanted: 'coppice.gateway.budget-wanted',
  /** Where gateways tell each other which models aren't asked just now; plain messages, kept nowhere. */
  gatewayHealth: 'coppice.gateway.health',
  /** With a tenant what came from it itself, so that one can't push out what others sent. */
  deadLetter: (source: string, tenant?: string) =>
    tenant === undefined ? `coppice.deadletter.${source}` : `coppice.deadletter.${source}.${tenant}`,
} as const;

/** Everything under one kind of subject, as streams and permissions name it. */
export const subjectFamilies = {
  api: 'coppice.api.>',
  call: 'coppice.call.>',
  intake: subjects.intake('*'),
  intakeLater: subjects.intakeLater('*', '*'),
  intakeAgain: subjects.intakeAgain('*'),
  actor: 'coppice.actor.>',
  timer: 'coppice.timer.>',
  stash: 'coppice.stash.>',
  command: 'coppice.cmd.>',
  commandLater: 'coppice.cmd-later.>',
  event: 'coppice.event.>',
  transcript: 'coppice.transcript.>',
  log: 'coppice.log.>',
  deadLetter: 'coppice.deadletter.>',
} as const;

/** The same of one tenant. */
export const tenantFamilies = (tenant: string) =>
  ({
    intake: subjects.intake(tenant),
    event: `coppice.event.${tenant}.>`,
    transcript: `coppice.transcript.${tenant}.>`,
    log: `coppice.log.${tenant}.>`,
  }) as const;

/** The durable consumers of the intake's streams. */
export const intakeConsumer = 'orchestrator-intake';
export const intakeLaterConsumer = 'orchestrator-intake-later';

/** Of the inboxes of a kind of actor. */
export const actorConsumer = (kind: string): string => `actor-${kind}`;

/** Of the commands of a service's pool. */
export const commandConsumer = (service: string, pool: string): string => `${service}-${pool}`;

/** The kinds of actors that the orchestrator hosts: the second token of their subjects. */
export const actorKinds = ['run', 'task', 'landing', 'setup'] as const;

/** In an event's subject, in the place of a run that nobody can name; the task is then the number that the intake gave to the request. */
export const noRun = 'intake';

/** In an event's subject, the task of an event that concerns the run itself. */
export const runItself = 'run';

/** The pool of commands that any process of a service may take. Others are named after a node. */
export const anyPool = 'any';

const landingSuffix = '_landing';
/**
 * A node's pool of commands that a landing waits for: no other command is in its queue, so that a branch isn't blocked by work that can wait. No node's
 * name has an underscore.
 */
export const landingPool = (node: string): string => `${node}${landingSuffix}`;

/** The node of a pool; null of the one that any process may take from. */
export function nodeOfPool(pool: string): string | null {
  if (pool === anyPool) return null;
  return pool.endsWith(landingSuffix) ? pool.slice(0, -landingSuffix.length) : pool;
}

/** The tenant of a subject `coppice.<api|intake|event|transcript|log>.<tenant>.…`. */
export function tenantOf(subject: string): string {
  const tenant = subject.split('.')[2];
  if (tenant === undefined) throw new Error(`no tenant in subject ${subject}`);
  return tenant;
}

/** A command's subject with `*` in place of its pool, which may be a node's name. */
export function commandTemplateOf(subject: string): string {
  const [, , service, , operation] = subject.split('.');
  if (service === undefined || operation === undefined) throw new Error(`no command in subject ${subject}`);
  return subjects.command(service, '*', operation);
}

/** The actor of an inbox or stash subject. */
export function actorOf(subject: string): { kind: string; id: string } {
  const [, , kind, ...id] = subject.split('.');
  if (kind === undefined || id.length === 0) throw new Error(`no actor in subject ${subject}`);
  return { kind, id: id.join('.') };
}

/**
 * Every subject, stream and bucket of Coppice. The table in ARCHITECTURE.md describes each.
 */
export const streams = {
  /** Inboxes, timers and stashes of actors. One stream, since a scheduled message must target a subject of its own stream. */
  actors: 'coppice-actors-inbox',
  commands: 'coppice-commands',
  /** Run requests of publishers. It allows no scheduled messages: their source and target may be any subject of the stream, so a tenant could read and write another's. */
  intake: 'coppice-intake',
  /** Intake requests that are delivered again later. */
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
  /** Artifacts that can be made again, kept for a limited time. */
  bundles: 'coppice-bundles',
  /** Budgets of tasks, runs and tenants: charges for model calls, and the leases of each gateway. */
  budgets: 'coppice-budgets',
  /** Public keys, by thumbprint, for the tokens that gateways mint. */
  gatewayKeys: 'coppice-gateway-keys',
  /** Cached model answers. */
  llmCache: 'coppice-llm-cache',
  /** Items of earlier answers that clients refer to by id. */
  llmItems: 'coppice-llm-items',
} as const;

export const subjects = {
  api: (tenant: string, method: string) => `coppice.api.${tenant}.${method}`,
  apiOfAnyTenant: (method: string) => `coppice.api.*.${method}`,
  /** Request/reply between services. Never used for effects. */
  call: (service: string, operation: string) => `coppice.call.${service}.${operation}`,
  /** Request/reply to the processes of one node. */
  callOnNode: (service: string, operation: string, node: string) => `coppice.call.${service}.${operation}.${node}`,
  intake: (tenant: string) => `coppice.intake.${tenant}.run`,
  /** Subject that stores a request until the services that the request needs are available. No consumer's filter matches this subject. */
  intakeLater: (tenant: string, requestToken: string) => `coppice.intake-later.${tenant}.${requestToken}`,
  /** Subject on which a postponed intake request is delivered again. */
  intakeAgain: (tenant: string) => `coppice.intake-again.${tenant}.run`,
  actor: (kind: string, id: string) => `coppice.actor.${kind}.${id}`,
  timer: (kind: string, id: string, effectId: string) => `coppice.timer.${kind}.${id}.${effectId}`,
  stash: (kind: string, id: string) => `coppice.stash.${kind}.${id}`,
  command: (service: string, pool: string, operation: string) => `coppice.cmd.${service}.${pool}.${operation}`,
  /** Subject that stores a command until the next delivery. No consumer's filter matches this subject. */
  commandLater: (service: string, effectId: string) => `coppice.cmd-later.${service}.${effectId}`,
  event: (tenant: string, runId: string, taskId: string, type: string) =>
    `coppice.event.${tenant}.${runId}.${taskId}.${type}`,
  transcript: (tenant: string, taskId: string) => `coppice.transcript.${tenant}.${taskId}`,
  log: (tenant: string, taskId: string) => `coppice.log.${tenant}.${taskId}`,
  /** A gateway's request to the other gateways to return the part of a budget that they don't need. */
  gatewayBudgetWanted: 'coppice.gateway.budget-wanted',
  /** Notices between gateways about models that are currently not called. Core NATS; not stored. */
  gatewayHealth: 'coppice.gateway.health',
  /** With a tenant: subject of the dead letters of that tenant's own messages, so that a tenant can't displace the dead letters of others. */
  deadLetter: (source: string, tenant?: string) =>
    tenant === undefined ? `coppice.deadletter.${source}` : `coppice.deadletter.${source}.${tenant}`,
} as const;

/** Wildcard subjects for each kind of subject, for streams and permissions. */
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

/** Wildcard subjects of one tenant. */
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

/** The durable consumer for the inboxes of one kind of actor. */
export const actorConsumer = (kind: string): string => `actor-${kind}`;

/** The durable consumer for the commands of a service's pool. */
export const commandConsumer = (service: string, pool: string): string => `${service}-${pool}`;

/** The kinds of actors that the orchestrator hosts: the second token of their subjects. */
export const actorKinds = ['run', 'task', 'landing', 'setup'] as const;

/** Stands for the run in the subject of an event about a request that names no run. The task token is then the request's intake sequence number. */
export const noRun = 'intake';

/** Stands for the task in the subject of an event about the run itself. */
export const runItself = 'run';

/** The pool whose commands any process of a service may take. Other pools are named after a node. */
export const anyPool = 'any';

const landingSuffix = '_landing';
/**
 * A node's pool for commands that a landing waits for. It has a queue of its own, so that other commands don't block a branch. Node names have no
 * underscore.
 */
export const landingPool = (node: string): string => `${node}${landingSuffix}`;

/** Returns the node of a pool; null for `anyPool`. */
export function nodeOfPool(pool: string): string | null {
  if (pool === anyPool) return null;
  return pool.endsWith(landingSuffix) ? pool.slice(0, -landingSuffix.length) : pool;
}

/** Returns the tenant of a subject `coppice.<api|intake|event|transcript|log>.<tenant>.…`. */
export function tenantOf(subject: string): string {
  const tenant = subject.split('.')[2];
  if (tenant === undefined) throw new Error(`no tenant in subject ${subject}`);
  return tenant;
}

/** Returns a command's subject with `*` in place of its pool, which may be a node's name. */
export function commandTemplateOf(subject: string): string {
  const [, , service, , operation] = subject.split('.');
  if (service === undefined || operation === undefined) throw new Error(`no command in subject ${subject}`);
  return subjects.command(service, '*', operation);
}

/** Returns the actor of an inbox or stash subject. */
export function actorOf(subject: string): { kind: string; id: string } {
  const [, , kind, ...id] = subject.split('.');
  if (kind === undefined || id.length === 0) throw new Error(`no actor in subject ${subject}`);
  return { kind, id: id.join('.') };
}

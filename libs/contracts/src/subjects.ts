/** Every subject, stream and bucket of Coppice. A table in ARCHITECTURE.md describes them. */
export const streams = {
  /**
   * Inboxes, timers and stashes of actors. They share a stream, since a scheduled message must target a subject of its
   * own stream.
   */
  actors: 'coppice-actors-inbox',
  commands: 'coppice-commands',
  /**
   * Run requests of publishers. The stream allows no scheduled messages. Their source and target may be any subject of
   * the stream, so a tenant could read and write another tenant's subjects.
   */
  intake: 'coppice-intake',
  /** Postponed intake requests. */
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
  /** Artifacts that can be made again. They are stored for a limited time. */
  bundles: 'coppice-bundles',
  /** Budgets of tasks, runs and tenants, with the charges for model calls and the leases of each gateway. */
  budgets: 'coppice-budgets',
  /** Public keys for the tokens that gateways issue, by thumbprint. */
  gatewayKeys: 'coppice-gateway-keys',
  llmCache: 'coppice-llm-cache',
  /** Items of earlier answers, to which clients refer by id. */
  llmItems: 'coppice-llm-items',
} as const;

export const subjects = {
  api: (tenant: string, method: string) => `coppice.api.${tenant}.${method}`,
  apiOfAnyTenant: (method: string) => `coppice.api.*.${method}`,
  /** Request/reply between services, never for effects. */
  call: (service: string, operation: string) => `coppice.call.${service}.${operation}`,
  /** Request/reply to the processes of one node. */
  callOnNode: (service: string, operation: string, node: string) => `coppice.call.${service}.${operation}.${node}`,
  intake: (tenant: string) => `coppice.intake.${tenant}.run`,
  /** Stores a request until the services that it needs are available. No consumer's filter matches this subject. */
  intakeLater: (tenant: string, requestToken: string) => `coppice.intake-later.${tenant}.${requestToken}`,
  /** Delivers a postponed intake request again. */
  intakeAgain: (tenant: string) => `coppice.intake-again.${tenant}.run`,
  actor: (kind: string, id: string) => `coppice.actor.${kind}.${id}`,
  timer: (kind: string, id: string, effectId: string) => `coppice.timer.${kind}.${id}.${effectId}`,
  stash: (kind: string, id: string) => `coppice.stash.${kind}.${id}`,
  command: (service: string, pool: string, operation: string) => `coppice.cmd.${service}.${pool}.${operation}`,
  /** Stores a command until its next delivery. No consumer's filter matches this subject. */
  commandLater: (service: string, effectId: string) => `coppice.cmd-later.${service}.${effectId}`,
  event: (tenant: string, runId: string, taskId: string, type: string) =>
    `coppice.event.${tenant}.${runId}.${taskId}.${type}`,
  transcript: (tenant: string, taskId: string) => `coppice.transcript.${tenant}.${taskId}`,
  log: (tenant: string, taskId: string) => `coppice.log.${tenant}.${taskId}`,
  /** A gateway's request to the other gateways to return the parts of a budget that they don't need. */
  gatewayBudgetWanted: 'coppice.gateway.budget-wanted',
  /** Notices between gateways about models that are currently not called. They aren't stored. */
  gatewayHealth: 'coppice.gateway.health',
  /**
   * Subject of dead letters. Each tenant's own messages have a subject of their own, so that a tenant can't displace
   * the dead letters of others.
   */
  deadLetter: (source: string, tenant?: string) =>
    tenant === undefined ? `coppice.deadletter.${source}` : `coppice.deadletter.${source}.${tenant}`,
} as const;

/** Wildcard subjects of each kind, for streams and permissions. */
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

/** The kinds of actors, which are the third token of their subjects. */
export const actorKinds = ['run', 'task', 'landing', 'setup'] as const;

/**
 * Replaces the run in the subject of an event about a request that names no run. The task token is then the request's
 * sequence number in the intake.
 */
export const noRun = 'intake';

/** Replaces the task in the subject of an event about the run itself. */
export const runItself = 'run';

/** The pool whose commands any process of a service may take. Every other pool belongs to a node. */
export const anyPool = 'any';

const landingSuffix = '_landing';
/**
 * Returns a node's pool for commands that a landing waits for. The pool has its own queue, so that other commands don't
 * block a branch. Node names have no underscore.
 */
export const landingPool = (node: string): string => `${node}${landingSuffix}`;

/** Returns the node of a pool, or null for `anyPool`. */
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

/** Returns a command's subject with `*` in place of the pool. */
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

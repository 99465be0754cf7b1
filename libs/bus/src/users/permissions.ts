import {
  actorConsumer,
  actorKinds,
  anyPool,
  api,
  buckets,
  chatApi,
  chatServiceName,
  commandConsumer,
  gatewayCalls,
  intakeConsumer,
  intakeLaterConsumer,
  landingPool,
  orchestratorCalls,
  serviceNames,
  streams,
  subjectFamilies,
  subjects,
  tenantFamilies,
  worktreeCalls,
} from '@coppice/contracts';
import type { ServiceName } from '@coppice/contracts';
import { cancelSubject } from '../claims.ts';
import { keyValueStream, objectStream, streamNames } from '../resources.ts';
import { workQueues } from '../queues.ts';
import { servicesProtocolFamily } from '../serve.ts';
import { tenantConsumerSubject, tenantConsumerSubjects, tenantStreams } from '../tenant-consumers/subjects.ts';

/**
 * The permissions of each user of the bus, derived from the contract's names. server-configuration.ts writes them for
 * the server.
 *
 * Invariants:
 * 1. Each tenant has an account of its own, since the server doesn't check reply subjects. A user that may send a
 *    request can direct the answer to any subject in its account, and so could overwrite an actor's value.
 * 2. The subject of the request that creates a consumer contains the filter, and for a shared consumer also the name.
 *    The server compares them with the request's body.
 * 3. Only the orchestrator and the administrator create, change or empty a stream.
 */
/**
 * The users in the services' account. `administrator` may do everything there, for instance to restore a backup. No
 * long-running process uses it.
 */
export const roles = [...serviceNames, 'operator', 'administrator'] as const;
export type Role = (typeof roles)[number];

export type Permissions = {
  publish: string[];
  subscribe: string[];
  /**
   * True if the user may answer each request with one message within two minutes. The server remembers the reply
   * subject for that time.
   */
  answers: boolean;
};

/** Returns the prefix of a role's reply subjects. No other role may subscribe to them. */
export const inboxPrefixOf = (role: Role): string => `_INBOX_${role}`;

/** @param nodes hosts whose commands the services pull. Each host's queue needs its own permission. */
export function permissionsOf(role: Role, nodes: readonly string[]): Permissions {
  if (role === 'administrator') return { publish: ['>'], subscribe: ['>'], answers: false };
  const parts = role === 'operator' ? operator : ofService[role](nodes);
  return {
    publish: unique([apiSubject('INFO'), ...parts.publish]),
    subscribe: unique([`${inboxPrefixOf(role)}.>`, ...parts.subscribe]),
    answers: role !== 'operator',
  };
}

type Parts = { publish: readonly string[]; subscribe: readonly string[] };
const apiSubject = (operation: string): string => `$JS.API.${operation}`;
const unique = (all: readonly string[]): string[] => [...new Set(all)];
const join = (...all: readonly Parts[]): Parts => ({
  publish: all.flatMap(({ publish }) => publish),
  subscribe: all.flatMap(({ subscribe }) => subscribe),
});
const publishing = (...publish: string[]): Parts => ({ publish, subscribe: [] });
const subscribing = (...subscribe: string[]): Parts => ({ publish: [], subscribe });

/** Returns the permissions to read a stream through consumers with random names and this filter. */
const reading = (stream: string, filter: string): Parts =>
  publishing(
    ...['INFO', 'MSG.NEXT', 'DELETE'].map((operation) => apiSubject(`CONSUMER.${operation}.${stream}.*`)),
    apiSubject(`CONSUMER.CREATE.${stream}.*.${filter}`),
  );

/** Returns the permissions to consume a work queue through a consumer that all processes of a service share. */
const consuming = (stream: string, durable: string, filter: string): Parts =>
  publishing(
    apiSubject(`CONSUMER.CREATE.${stream}.${durable}.${filter}`),
    ...['INFO', 'MSG.NEXT'].map((operation) => apiSubject(`CONSUMER.${operation}.${stream}.${durable}`)),
    `$JS.ACK.${stream}.${durable}.>`,
  );

/** Returns the permissions to read a bucket's values by key, and by default to write them. */
const keyValue = (bucket: string, write = true): Parts =>
  publishing(apiSubject(`STREAM.MSG.GET.${keyValueStream(bucket)}`), ...(write ? [`$KV.${bucket}.>`] : []));

const findingObjects = (bucket: string): Parts => publishing(apiSubject(`STREAM.MSG.GET.${objectStream(bucket)}`));
const storingObjects = (bucket: string): Parts =>
  join(findingObjects(bucket), publishing(`$O.${bucket}.C.*`, `$O.${bucket}.M.*`));
const readingObjects = (bucket: string): Parts =>
  join(findingObjects(bucket), reading(objectStream(bucket), `$O.${bucket}.C.*`));
const artifacts: Parts = join(readingObjects(buckets.artifacts), storingObjects(buckets.artifacts));

const lookingUp: Parts = publishing(...streamNames().map((stream) => apiSubject(`STREAM.INFO.${stream}`)));
const making: Parts = publishing(
  ...['CREATE', 'UPDATE'].flatMap((operation) =>
    streamNames().map((stream) => apiSubject(`STREAM.${operation}.${stream}`)),
  ),
);

const serving = (name: string, endpoints: string[]): Parts =>
  subscribing(...endpoints, ...servicesProtocolFamily(name));

const taking = (name: ServiceName, pool: string): Parts =>
  consuming(streams.commands, commandConsumer(name, pool), subjects.command(name, pool, '*'));

/**
 * Returns the permissions that every service needs to be a member, run commands under claims, and send results to the
 * inboxes of actors.
 */
function commands(name: ServiceName, pools: readonly string[]): Parts {
  return join(
    lookingUp,
    keyValue(buckets.members),
    keyValue(buckets.effects),
    ...pools.map((pool) => taking(name, pool)),
    publishing(subjectFamilies.actor, subjects.commandLater(name, '*'), subjects.deadLetter(name)),
    subscribing(cancelSubject('*')),
  );
}

/**
 * Reply subjects of requests from other accounts. The server makes a new one for each request, and reveals it only to
 * the receiver.
 */
const repliesToOtherAccounts = '_R_.>';

const ofService: Readonly<Record<ServiceName, (nodes: readonly string[]) => Parts>> = {
  orchestrator: (nodes) =>
    join(
      commands('orchestrator', [anyPool]),
      orchestrator,
      // The orchestrator answers the commands of a lost host with an error.
      ...nodes.flatMap((node) => [
        taking('worktree-service', node),
        taking('container-service', node),
        taking('container-service', landingPool(node)),
      ]),
    ),
  'llm-gateway': () =>
    join(
      commands('llm-gateway', [anyPool]),
      serving('llm-gateway', calls('llm-gateway', gatewayCalls)),
      serving(chatServiceName, served(chatApi)),
      // A chat may be answered by many messages over any length of time. With response permissions instead, the server
      // would have to remember each chat for that time.
      publishing(repliesToOtherAccounts, `${inboxPrefixOf('operator')}.>`),
      artifacts,
      keyValue(buckets.gatewayKeys),
      keyValue(buckets.llmCache),
      keyValue(buckets.llmItems),
      reading(streams.transcripts, subjectFamilies.transcript),
      publishing(subjectFamilies.transcript, subjects.gatewayBudgetWanted, subjects.gatewayHealth),
      // The gateway requests the limits that apply to a token.
      publishing(...calls('orchestrator', orchestratorCalls)),
      subscribing(subjects.gatewayBudgetWanted, subjects.gatewayHealth),
      keyValue(buckets.budgets),
    ),
  'worktree-service': (nodes) =>
    join(
      commands('worktree-service', [anyPool, ...nodes]),
      serving('worktree-service', [...worktreesOfAny, ...nodes.flatMap(worktreesOf)]),
      storingObjects(buckets.bundles),
    ),
  'container-service': (nodes) =>
    join(
      commands('container-service', [anyPool, ...nodes, ...nodes.map(landingPool)]),
      artifacts,
      publishing(subjectFamilies.log, ...calls('orchestrator', { taskStatus: orchestratorCalls.taskStatus })),
    ),
};

/** Returns the subjects of public methods, for all tenants. */
const served = (methods: Readonly<Record<string, { name: string }>>): string[] =>
  Object.values(methods).map((method) => subjects.apiOfAnyTenant(method.name));

const calls = (name: string, methods: Readonly<Record<string, { name: string }>>): string[] =>
  Object.values(methods).map((method) => subjects.call(name, method.name));

const { diff, bundle, ...anyNodeCalls } = worktreeCalls;
const worktreesOfAny = calls('worktree-service', anyNodeCalls);
/** Returns the subjects of the calls that only the task's host can answer. */
const worktreesOf = (node: string): string[] =>
  [diff, bundle].map(({ name }) => subjects.callOnNode('worktree-service', name, node));

const orchestrator: Parts = join(
  making,
  subscribing(tenantConsumerSubjects),
  // The orchestrator creates the consumers with which tenants read.
  ...tenantStreams('*').map(({ stream, filter }) =>
    publishing(apiSubject(`CONSUMER.CREATE.${stream}.*.${filter}`), apiSubject(`CONSUMER.INFO.${stream}.*`)),
  ),
  artifacts,
  readingObjects(buckets.bundles),
  keyValue(buckets.actors),
  reading(keyValueStream(buckets.actors), `$KV.${buckets.actors}.>`),
  serving('orchestrator', [...served(api), ...calls('orchestrator', orchestratorCalls)]),
  ...actorKinds.map((kind) => consuming(streams.actors, actorConsumer(kind), subjects.actor(kind, '>'))),
  consuming(streams.intake, intakeConsumer, subjects.intake('*')),
  consuming(streams.intakeLater, intakeLaterConsumer, subjects.intakeAgain('*')),
  // The orchestrator recreates the intake of an earlier version (see retire-intake.ts).
  publishing(apiSubject(`STREAM.DELETE.${streams.intake}`), apiSubject(`STREAM.MSG.DELETE.${streams.intake}`)),
  publishing(
    ...['PURGE', 'MSG.DELETE'].map((operation) => apiSubject(`STREAM.${operation}.${streams.actors}`)),
    // The orchestrator reports the number and age of waiting messages.
    ...workQueues.flatMap((stream) => [apiSubject(`CONSUMER.LIST.${stream}`), apiSubject(`STREAM.MSG.GET.${stream}`)]),
    subjectFamilies.timer,
    subjectFamilies.stash,
    subjectFamilies.command,
    cancelSubject('*'),
    subjectFamilies.event,
    subjects.intakeLater('*', '*'),
    subjects.deadLetter('*'),
    subjects.deadLetter('intake', '*'),
    ...worktreesOfAny,
    ...worktreesOf('*'),
    ...calls('llm-gateway', gatewayCalls),
    // An orchestrator sends an actor's answer to the orchestrator process that waits for it.
    `${inboxPrefixOf('orchestrator')}.>`,
  ),
);

/** A person who runs the stack. May use the whole public API for every tenant, and read the stored streams. */
const operator: Parts = join(
  publishing(subjectFamilies.api, subjectFamilies.intake, subjectFamilies.call, '$SRV.>'),
  lookingUp,
  reading(streams.events, subjectFamilies.event),
  reading(streams.transcripts, subjectFamilies.transcript),
  reading(streams.logs, subjectFamilies.log),
  reading(streams.deadLetters, subjectFamilies.deadLetter),
  subscribing(subjectFamilies.event, subjectFamilies.transcript, subjectFamilies.log),
);

/**
 * Prefix under which a tenant's account imports the services' JetStream. The account has no JetStream of its own, so
 * the server would answer its requests on `$JS.API.…` with an error. A mapping adds the prefix, so clients can use
 * these subjects.
 */
const importedApi = 'coppice.js.';

/** Subjects that a tenant's account imports from the services' account. */
export type TenantShare = {
  /**
   * Requests. A client uses `clientSubject`, the tenant's account imports it as `as`, and it is `subject` in the
   * services' account. `many` is true if several messages answer a request.
   */
  services: { clientSubject: string; as: string; subject: string; many: boolean }[];
  /** Subjects to which the tenant's clients may subscribe. */
  streams: string[];
};

/**
 * Methods with a single answer, with a wildcard for each noun's verbs. No wildcard may match a method with a streamed
 * answer, since a request that matches two imports is delivered twice.
 */
const answeredOnce: readonly string[] = [
  ...new Set(Object.values(api).map(({ name }) => `${name.split('.')[0]}.*`)),
  chatApi.keep.name,
  chatApi.cancel.name,
];

/**
 * Returns what a tenant may do: call the API, submit runs, and read its messages through subscriptions or through
 * consumers with the filter in the request's subject. A tenant may not request a message by its number (MSG.GET,
 * DIRECT.GET), since such a request doesn't name the message's subject.
 */
export function shareOf(tenant: string): TenantShare {
  const own = tenantFamilies(tenant);
  const plain = (subject: string, many = false) => ({ clientSubject: subject, as: subject, subject, many });
  const jetStream = (operation: string, many = false) => {
    const subject = apiSubject(operation);
    return { clientSubject: subject, as: subject.replace(apiSubject(''), importedApi), subject, many };
  };
  const readable = tenantStreams(tenant);
  return {
    services: [
      ...answeredOnce.map((methods) => plain(subjects.api(tenant, methods))),
      plain(subjects.api(tenant, chatApi.chat.name), true),
      plain(own.intake),
      ...readable.flatMap(({ stream, filter }) => [
        // tenant-consumers/serve.ts answers this request, not the server.
        {
          ...jetStream(`CONSUMER.CREATE.${stream}.*.${filter}`),
          subject: tenantConsumerSubject(tenant, { stream, filter }),
        },
        jetStream(`CONSUMER.INFO.${stream}.*`),
        jetStream(`CONSUMER.DELETE.${stream}.*`),
        jetStream(`CONSUMER.MSG.NEXT.${stream}.*`, true),
      ]),
    ],
    streams: readable.map(({ filter }) => filter),
  };
}

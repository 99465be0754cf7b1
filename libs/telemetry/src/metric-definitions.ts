import { attributes } from './attributes.ts';

/**
 * Definitions of all metrics. The recording functions, the Prometheus endpoint, the alerts' test and docs/metrics.md
 * use them.
 *
 * A label never contains an id, or a text that a tenant chooses. Otherwise a user could fill the memory of a service or
 * of Prometheus. The only exception is a model's name, since bounded-values.ts limits the number of names. No label
 * contains the tenant. A tenant's spending is in the tenant's own events.
 */
export type MetricKind = 'counter' | 'histogram' | 'gauge';

export type MetricDefinition = {
  kind: MetricKind;
  /** Unit in UCUM notation, such as `s`, `By` or `{task}`. OpenTelemetry uses the same notation. */
  unit: string;
  /** One sentence. */
  description: string;
  /** Descriptions of the labels' values, by label. */
  labels: Readonly<Record<string, string>>;
  reportedBy: string;
  /** Upper bounds of the buckets. Only for histograms. */
  boundaries?: readonly number[];
};

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800];
const stepSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 14_400, 86_400];
/** Boundaries in seconds for model calls. The GenAI conventions recommend similar ones. */
const modelSeconds = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 300, 1_800,
];
const tokens = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

const destination = 'the subject with `*` for each id';
const provider = 'as in `provider/model`';
const model =
  "as in `provider/model`: at most 100 models, which are those in the aliases and prices of the gateway's file, and the first ones that answered; all others are `_OTHER`";
const errorCode = 'the error code, as in docs/protocol.md; only set for failures';

export const metricDefinitions = {
  'coppice.task.ended': {
    kind: 'counter',
    unit: '{task}',
    description: 'Tasks that have ended.',
    labels: {
      state: 'the end: merged, landed-pending, branch-pushed, no-changes, failed, timed-out, cancelled, discarded',
    },
    reportedBy: 'orchestrator',
  },
  'coppice.task.step.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Time that a task spent in a state before the next state.',
    labels: { state: 'the state that the task left: waiting, preparing, working, …' },
    reportedBy: 'orchestrator',
    boundaries: stepSeconds,
  },
  'coppice.actors': {
    kind: 'gauge',
    unit: '{actor}',
    description:
      'Durable actors that have not ended, from the last pass over all actors. Only the orchestrator that made the pass reports it.',
    labels: {
      kind: 'run, task, landing or setup',
      state: "the state, or `parked` for an actor that this version can't continue",
    },
    reportedBy: 'orchestrator',
  },
  'coppice.queue.messages': {
    kind: 'gauge',
    unit: '{message}',
    description: 'Messages in a work queue. Every orchestrator reports the same value: use the max.',
    labels: {
      queue: 'the durable consumer: `actor-task`, `llm-gateway-any`, `container-service-<node>`, …',
      state:
        '`waiting`: not delivered yet; `in-progress`: delivered but not acknowledged; `redelivered`: the part of `in-progress` that was delivered more than once',
    },
    reportedBy: 'orchestrator',
  },
  'coppice.queue.oldest.age': {
    kind: 'gauge',
    unit: 's',
    description:
      'Age of the oldest message in a work queue that was not delivered yet; 0 if there is none. Every orchestrator reports the same value: use the max.',
    labels: { queue: 'as in `coppice_queue_messages`' },
    reportedBy: 'orchestrator',
  },
  'coppice.dead.letters': {
    kind: 'gauge',
    unit: '{message}',
    description: 'Stored dead letters. Every orchestrator reports the same value: use the max.',
    labels: {},
    reportedBy: 'orchestrator',
  },
  'coppice.dead.letters.last': {
    kind: 'gauge',
    unit: '{message}',
    description:
      'Sequence number of the newest dead letter. It grows with each new one, even if old ones are deleted. Every orchestrator reports the same value: use the max.',
    labels: {},
    reportedBy: 'orchestrator',
  },
  'coppice.stream.used': {
    kind: 'gauge',
    unit: '1',
    description:
      'Used part of the maximum size of a stream with a retention time, for all tenants together. A full stream deletes its oldest messages before their retention time is over. Every orchestrator reports the same value: use the max.',
    labels: {
      stream:
        '`coppice-events`, `coppice-transcripts`, `coppice-logs`, `coppice-deadletters` or `OBJ_coppice-artifacts`',
    },
    reportedBy: 'orchestrator',
  },
  'coppice.queue.wait.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Time that a message was in its queue before a delivery.',
    labels: { [attributes.messagingDestinationTemplate]: destination },
    reportedBy: 'all services',
    boundaries: seconds,
  },
  'messaging.process.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Time to handle a delivered message; for a command, the time of its work.',
    labels: {
      [attributes.messagingSystemName]: '`nats`',
      [attributes.messagingOperationName]: '`process`; for an actor, followed by the type of the message',
      [attributes.messagingDestinationTemplate]: destination,
      [attributes.errorType]: errorCode,
    },
    reportedBy: 'all services',
    boundaries: stepSeconds,
  },
  'gen_ai.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Duration of one attempt of a model call at a provider, from the request to the end of the answer.',
    labels: {
      [attributes.genAiOperationName]: '`chat`',
      [attributes.genAiProviderName]: provider,
      [attributes.genAiRequestModel]: model,
      [attributes.errorType]: errorCode,
    },
    reportedBy: 'llm-gateway',
    boundaries: modelSeconds,
  },
  'gen_ai.client.token.usage': {
    kind: 'histogram',
    unit: '{token}',
    description: 'Tokens of one attempt, including failed attempts that cost something. The sum is the total usage.',
    labels: {
      [attributes.genAiOperationName]: '`chat`',
      [attributes.genAiProviderName]: provider,
      [attributes.genAiRequestModel]: model,
      [attributes.genAiTokenType]: '`input` (including cached tokens) or `output`',
    },
    reportedBy: 'llm-gateway',
    boundaries: tokens,
  },
  'coppice.model.cost': {
    kind: 'counter',
    unit: '{USD}',
    description: 'Cost of attempts in US dollars, for models with a known price.',
    labels: { [attributes.genAiProviderName]: provider, [attributes.genAiRequestModel]: model },
    reportedBy: 'llm-gateway',
  },
  'coppice.model.cache.lookups': {
    kind: 'counter',
    unit: '{request}',
    description: 'Lookups of requests in the cache of answers, if the cache is switched on.',
    labels: { result: '`hit`: answered from the cache, without a request to a provider; `miss`' },
    reportedBy: 'llm-gateway',
  },
  'coppice.model.queue.wait.duration': {
    kind: 'histogram',
    unit: 's',
    description:
      'Time in the queue for a provider, per request to it. A request is queued while the maximum number of concurrent calls of the provider is reached.',
    labels: { [attributes.genAiProviderName]: provider },
    reportedBy: 'llm-gateway',
    boundaries: seconds,
  },
  'coppice.model.calls': {
    kind: 'gauge',
    unit: '{call}',
    description: 'Calls that run at a provider or wait for a free slot there. Every gateway reports its own calls.',
    labels: { [attributes.genAiProviderName]: provider, state: '`running` or `waiting`' },
    reportedBy: 'llm-gateway',
  },
  'coppice.models.unavailable': {
    kind: 'gauge',
    unit: '{model}',
    description:
      'Models that get no requests at present. Gateways share this state, so all report nearly the same value: use the max.',
    labels: {
      [attributes.genAiProviderName]: provider,
      [attributes.genAiRequestModel]: model,
      state:
        '`failing`: the model failed repeatedly, and its circuit breaker is open for at least one tenant; `cooling`: the provider has stated a time to wait',
    },
    reportedBy: 'llm-gateway',
  },
  'coppice.sandboxes': {
    kind: 'gauge',
    unit: '{sandbox}',
    description:
      'Existing sandboxes of this stack. Every container-service of one engine reports the same value: use the max by node.',
    labels: {
      [attributes.containerRuntimeName]: 'docker, bubblewrap or none',
      node: 'the host, as COPPICE_NODE names it',
      state: '`idle`; `running` while a command runs in the sandbox',
    },
    reportedBy: 'container-service',
  },
  'system.filesystem.usage': {
    kind: 'gauge',
    unit: 'By',
    description:
      'Space of the file system that contains the data folder. Every service with a data folder reports its own.',
    labels: {
      node: 'the host, as COPPICE_NODE names it',
      [attributes.filesystemState]: "`used`, `free` (for the service's user) or `reserved`",
    },
    reportedBy: 'worktree-service, container-service',
  },
  'system.filesystem.inodes.usage': {
    kind: 'gauge',
    unit: '{inode}',
    description:
      'Inodes of the file system that contains the data folder; each file takes one. Both values are 0 on a file system without a fixed number of inodes.',
    labels: {
      node: 'the host, as COPPICE_NODE names it',
      [attributes.filesystemState]: '`used` or `free`',
    },
    reportedBy: 'worktree-service, container-service',
  },
  'coppice.disk.used': {
    kind: 'gauge',
    unit: 'By',
    description:
      'Size of the data in the data folder of worktree-service, from its last cleanup (every 15 minutes). Every process of one node reports the same value: use the max by node.',
    labels: {
      node: 'the host, as COPPICE_NODE names it',
      part: '`kept-folders` (work that could not be imported), `rescued-commits` (work that did not land; a part of `repositories`), `setups`, `repositories`, `worktrees` or `trash`',
    },
    reportedBy: 'worktree-service',
  },
  'coppice.disk.free.min': {
    kind: 'gauge',
    unit: 'By',
    description:
      'Free space below which new work is refused, on the file system of the data folder. Unless this is 0, new work is also refused while less than 1 % of the inodes are free. Use the max by node.',
    labels: { node: 'the host, as COPPICE_NODE names it' },
    reportedBy: 'worktree-service',
  },
  'coppice.disk.removed': {
    kind: 'counter',
    unit: '{removal}',
    description: 'Kept folders, sealed setups and refs that were removed to free disk space; the log names each.',
    labels: {
      node: 'the host, as COPPICE_NODE names it',
      reason: '`age`; `size`: the total size of the kind was too large; `low-disk`',
    },
    reportedBy: 'worktree-service',
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof metricDefinitions;
type NamesOf<Kind extends MetricKind> = {
  [Name in MetricName]: (typeof metricDefinitions)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];
export type CounterName = NamesOf<'counter'>;
export type HistogramName = NamesOf<'histogram'>;
export type GaugeName = NamesOf<'gauge'>;

/** Labels of a metric. Only `error.type` is optional, since it is set only for errors. */
export type Labels<Name extends MetricName> = {
  [Label in Exclude<keyof (typeof metricDefinitions)[Name]['labels'], 'error.type'>]: string;
} & { [Label in Extract<keyof (typeof metricDefinitions)[Name]['labels'], 'error.type'>]?: string | undefined };

/**
 * Returns a metric's name at the Prometheus endpoint. OpenTelemetry's exporter defines the rule. For a histogram, it
 * also adds `_bucket`, `_sum` or `_count`.
 */
export const prometheusName = (name: MetricName): string =>
  `${name.replaceAll(/[^a-z0-9_]/gi, '_')}${metricDefinitions[name].kind === 'counter' ? '_total' : ''}`;

export const prometheusLabel = (label: string): string => label.replaceAll(/[^a-z0-9_]/gi, '_');

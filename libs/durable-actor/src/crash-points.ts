/**
 * Points between the steps of handling a message. A test kills a child process at each point. Another test checks that
 * each point occurs exactly once in the sources.
 */
export const crashPoints = [
  'message-received',
  'value-read',
  'old-outbox-item-published',
  'old-outbox-published',
  'transition-computed',
  'state-stored',
  'outbox-item-published',
  'outbox-published',
  'senders-answered',
  'message-acknowledged',
  'refusal-published',
  'absent-copied',
  'actor-parked',
  'stash-copied',
  'dead-letter-stored',
  'failure-published',
  'unpark-stored',
  'unpark-message-published',
  'sweeper-leased',
  'sweeper-woke',
] as const;

export type CrashPoint = (typeof crashPoints)[number];

/** Called at each crash point. Only tests set it. */
export type Reach = (point: CrashPoint) => void | Promise<void>;

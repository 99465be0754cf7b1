/** Exports the parts of the NATS client packages that this library uses. No other file imports these packages. */
export { connect } from '@nats-io/transport-node';
export { createInbox, errors, headers, nkeyAuthenticator, nkeys } from '@nats-io/nats-core';
export type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/nats-core';
export {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream';
export type {
  Consumer,
  ConsumerConfig,
  ConsumerInfo,
  JetStreamClient,
  JetStreamManager,
  JetStreamPublishOptions,
  JsMsg,
  StoredMsg,
  StreamConfig,
  StreamInfo,
} from '@nats-io/jetstream';
export { Kvm } from '@nats-io/kv';
export { Objm } from '@nats-io/obj';
export type { ObjectStore as NatsObjectStore } from '@nats-io/obj';

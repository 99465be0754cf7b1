import type { NatsObjectStore } from './nats.ts';

/** Large things by name. A name is written once: its content never changes, so that what is there stays. */
export class ObjectStore {
  readonly #store: NatsObjectStore;

  constructor(store: NatsObjectStore) {
    this.#store = store;
  }

  async put(name: string, data: Uint8Array): Promise<void> {
    // Replacing it would take the right to empty the store's stream.
    const there = await this.#store.info(name);
    if (there !== null && !there.deleted) return;
    await this.#store.putBlob({ name }, data);
  }

  /** Null where no object has this name. */
  async get(name: string): Promise<Uint8Array | null> {
    return await this.#store.getBlob(name);
  }

  async delete(name: string): Promise<void> {
    await this.#store.delete(name);
  }
}

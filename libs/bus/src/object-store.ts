import type { NatsObjectStore } from './nats.ts';

/** Large things by name. A name is written once (its content never changes); writing it again replaces it with the same. */
export class ObjectStore {
  readonly #store: NatsObjectStore;

  constructor(store: NatsObjectStore) {
    this.#store = store;
  }

  async put(name: string, data: Uint8Array): Promise<void> {
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

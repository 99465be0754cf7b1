import { untilAnswered } from '@coppice/bus';
import type { Bus } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import { streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { Owner, TranscriptEntry } from '@coppice/contracts';

type StoredEntry = { entry: TranscriptEntry; sequence: number };

/**
 * The record of a task's model calls, on the subject `coppice.transcript.<tenant>.<taskId>`. Each call has one entry,
 * whose id is the id of the call's effect.
 */
export class Transcript {
  readonly #bus: Bus;
  readonly #log = createLogger('llm-gateway');

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * Stores an entry once, and returns its sequence number. Before publishing again, looks for the entry, since the NATS
   * server detects a repeated message only for a short time. Waits while the server is unavailable, since without an
   * entry the charged call would be repeated.
   * @throws the signal's reason
   */
  async append(entry: TranscriptEntry, signal: AbortSignal): Promise<number> {
    const { owner, effectId } = entry;
    let isFirst = true;
    return untilAnswered(async () => {
      const stored = isFirst ? null : await this.#find(owner, [effectId]);
      if (stored !== null) return stored.sequence;
      isFirst = false;
      try {
        const subject = subjects.transcript(owner.tenant, owner.taskId);
        return (await this.#bus.publish(subject, entry, { messageId: effectId })).sequence;
      } catch (error) {
        this.#log.warn({ err: error, effectId }, 'transcript entry not confirmed; checking whether it was stored');
        throw error;
      }
    }, signal);
  }

  /** Returns the first stored entry of these model calls. Returns null if none of them has an entry. */
  async find(owner: Owner, effectIds: readonly string[]): Promise<TranscriptEntry | null> {
    return (await this.#find(owner, effectIds))?.entry ?? null;
  }

  async #find(owner: Owner, effectIds: readonly string[]): Promise<StoredEntry | null> {
    for await (const stored of this.entries(owner)) {
      if (effectIds.includes(stored.entry.effectId)) return stored;
    }
    return null;
  }

  /**
   * Yields a task's entries in the order in which they were stored. Skips entries that don't match this version's
   * schema.
   */
  async *entries(owner: Owner, startSequence = 1): AsyncIterable<StoredEntry> {
    const subject = subjects.transcript(owner.tenant, owner.taskId);
    for await (const message of this.#bus.read(streams.transcripts, subject, { startSequence })) {
      const entry = transcriptEntrySchema.safeParse(message.json());
      if (entry.success) yield { entry: entry.data, sequence: message.sequence };
    }
  }
}

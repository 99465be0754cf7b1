import type { Bus } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import { streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { Owner, TranscriptEntry } from '@coppice/contracts';
import { gatewayLimits } from './limits.ts';

export type StoredEntry = { entry: TranscriptEntry; sequence: number };

/** The record of a task's turns, `coppice.transcript.<tenant>.<taskId>`: each once, under its effect's id. */
export class Transcript {
  readonly #bus: Bus;
  readonly #log = createLogger('llm-gateway');

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * Stores an entry once. Where the server's answer got lost, what it stored is looked for before it is asked again, since its own
   * memory of message ids is short.
   */
  async append(entry: TranscriptEntry): Promise<void> {
    const { tenant, taskId } = entry.owner;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#bus.publish(subjects.transcript(tenant, taskId), entry, { messageId: entry.effectId });
        return;
      } catch (error) {
        if (attempt === gatewayLimits.transcriptWritesMax) throw error;
        this.#log.warn(
          { err: error, effectId: entry.effectId },
          'transcript entry not confirmed; looking whether it is there',
        );
      }
      if ((await this.find(entry.owner, entry.effectId)) !== null) return;
    }
  }

  /** The entry of a turn that was finished, else null. */
  async find(owner: Owner, effectId: string): Promise<TranscriptEntry | null> {
    for await (const { entry } of this.entries(owner)) {
      if (entry.effectId === effectId) return entry;
    }
    return null;
  }

  /** A task's entries, in the order in which they were stored. What isn't an entry that this version can read is left out. */
  async *entries(owner: Owner, startSequence = 1): AsyncIterable<StoredEntry> {
    const subject = subjects.transcript(owner.tenant, owner.taskId);
    for await (const message of this.#bus.read(streams.transcripts, subject, { startSequence })) {
      const entry = transcriptEntrySchema.safeParse(message.json());
      if (entry.success) yield { entry: entry.data, sequence: message.sequence };
    }
  }
}

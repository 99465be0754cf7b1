import type { Bus } from '@coppice/bus';
import { createLogger } from '@coppice/telemetry';
import { streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { Owner, TranscriptEntry } from '@coppice/contracts';
import { gatewayLimits } from './limits.ts';

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
    for await (const message of this.#bus.read(streams.transcripts, subjects.transcript(owner.tenant, owner.taskId))) {
      const entry = transcriptEntrySchema.safeParse(message.json());
      if (entry.success && entry.data.effectId === effectId) return entry.data;
    }
    return null;
  }
}

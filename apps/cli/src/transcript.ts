/** What a task's agent was told and said, as the gateway recorded it. */
import { modelMessageSchema, shownModel, streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { ModelMessage, TextReference, TranscriptEntry } from '@coppice/contracts';
import type { ApiClient } from './api-client.ts';
import { readArtifact } from './artifacts.ts';

export type StoredTurn = { entry: TranscriptEntry; sequence: number };

/** Where the reading begins, and whether it goes on with what comes. */
export type TurnOptions = { startSequence?: number; live?: boolean; signal?: AbortSignal };

/** A task's turns in the order in which they were stored. What this version can't read is left out. */
export async function* turnsOf(
  client: ApiClient,
  taskId: string,
  options: TurnOptions = {},
): AsyncIterable<StoredTurn> {
  const subject = subjects.transcript(client.tenant, taskId);
  for await (const message of client.bus.read(streams.transcripts, subject, options)) {
    const entry = transcriptEntrySchema.safeParse(message.json());
    if (entry.success) yield { entry: entry.data, sequence: message.sequence };
  }
}

/** Who answered a turn, as `provider/model` in the provider's words; null where that was not recorded. */
export function answeredBy({ provider, responseModel }: TranscriptEntry['output']): string | null {
  return provider === undefined ? null : `${provider}/${responseModel}`;
}

/** Its name for a person where it isn't the one that was asked for, as behind an alias; else null. */
export function otherAnswerer(model: string, answerer: string | null): string | null {
  const shown = answerer === null ? null : shownModel(answerer);
  return shown === shownModel(model) ? null : shown;
}

/** Reads texts that are kept by reference. */
export class Texts {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Null for one that is no longer there. */
  async read(reference: TextReference): Promise<string | null> {
    if ('text' in reference) return reference.text;
    const bytes = await readArtifact(this.#client, reference.artifact);
    return bytes === null ? null : new TextDecoder().decode(bytes);
  }

  /** What a turn added to its conversation; null where it is no longer there. */
  async messagesOf(entry: TranscriptEntry): Promise<ModelMessage[] | null> {
    const text = await this.read(entry.request);
    return text === null ? null : modelMessageSchema.array().parse(JSON.parse(text));
  }
}

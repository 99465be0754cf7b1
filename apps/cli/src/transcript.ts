/** Reads the transcript of a task's agent, as the gateway recorded it. */
import { modelMessageSchema, shownModel, streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { ModelMessage, TextReference, TranscriptEntry } from '@coppice/contracts';
import type { ApiClient } from './api-client.ts';
import { readArtifact } from './artifacts.ts';

export type StoredTurn = { entry: TranscriptEntry; sequence: number };

/** `startSequence`: first stream sequence to read. `live`: continue with new messages. */
export type TurnOptions = { startSequence?: number; live?: boolean; signal?: AbortSignal };

/** Yields a task's turns in stream order. Entries that this version can't read are skipped. */
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

/** Returns the `provider/model` that answered a turn, with the provider's own model name; null if not recorded. */
export function answeredBy({ provider, responseModel }: TranscriptEntry['output']): string | null {
  return provider === undefined ? null : `${provider}/${responseModel}`;
}

/** Returns the display name of the model that answered, if it isn't the requested one (for example behind an alias); otherwise null. */
export function otherAnswerer(model: string, answerer: string | null): string | null {
  const shown = answerer === null ? null : shownModel(answerer);
  return shown === shownModel(model) ? null : shown;
}

/** Reads texts that are stored by reference. */
export class Texts {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Reads a text; null if it no longer exists. */
  async read(reference: TextReference): Promise<string | null> {
    if ('text' in reference) return reference.text;
    const bytes = await readArtifact(this.#client, reference.artifact);
    return bytes === null ? null : new TextDecoder().decode(bytes);
  }

  /** Reads the messages that a turn added to its conversation; null if they no longer exist. */
  async messagesOf(entry: TranscriptEntry): Promise<ModelMessage[] | null> {
    const text = await this.read(entry.request);
    return text === null ? null : modelMessageSchema.array().parse(JSON.parse(text));
  }
}

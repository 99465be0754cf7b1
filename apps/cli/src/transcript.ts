/** Reads the transcript of a task's agent, which the gateway recorded. */
import { modelMessageSchema, shownModel, streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { ModelMessage, TextReference, TranscriptEntry } from '@coppice/contracts';
import type { ApiClient } from './api-client.ts';
import { readArtifact } from './artifacts.ts';

export type StoredTurn = { entry: TranscriptEntry; sequence: number };

/** `startSequence`: stream sequence of the first message to read. `live`: if true, new messages are read too. */
export type TurnOptions = { startSequence?: number; live?: boolean; signal?: AbortSignal };

/** Skips entries that this version can't parse. */
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

/**
 * Returns the `provider/model` that answered a turn, with the model name in the provider's answer. Returns null if it
 * wasn't recorded.
 */
export function answeredBy({ provider, responseModel }: TranscriptEntry['output']): string | null {
  return provider === undefined ? null : `${provider}/${responseModel}`;
}

/** Returns the display name of the model that answered. Returns null if the requested model answered. */
export function otherAnswerer(model: string, answerer: string | null): string | null {
  const shown = answerer === null ? null : shownModel(answerer);
  return shown === shownModel(model) ? null : shown;
}

/** Reads texts of a transcript. Long ones are stored as artifacts. */
export class Texts {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Returns null if the text's artifact no longer exists. */
  async read(reference: TextReference): Promise<string | null> {
    if ('text' in reference) return reference.text;
    const bytes = await readArtifact(this.#client, reference.artifact);
    return bytes === null ? null : new TextDecoder().decode(bytes);
  }

  /** Reads the messages that a turn's request added to its conversation. Returns null if they no longer exist. */
  async messagesOf(entry: TranscriptEntry): Promise<ModelMessage[] | null> {
    const text = await this.read(entry.request);
    return text === null ? null : modelMessageSchema.array().parse(JSON.parse(text));
  }
}

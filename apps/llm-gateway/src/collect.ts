import { createHash } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import type { Signature } from '@coppice/contracts';
import { AnswerBounds } from './answer-bounds.ts';
import type {
  FinishReason,
  ModelDelta,
  ModelDeltas,
  ProviderThinking,
  ProviderToolCall,
  UsageSoFar,
} from './provider/port.ts';

export type Answer = {
  text: string;
  textSignature?: Signature;
  /** In the order in which the model made them. */
  toolCalls: ProviderToolCall[];
  /** In the order of arrival; `callsBefore` is the number of tool calls before it. */
  thinking: (ProviderThinking & { callsBefore: number })[];
  finishReason: FinishReason;
  providerFinishReason: string | null;
  responseModel: string | null;
  responseId: string | null;
};

/** The outcome of one attempt. A failure includes what arrived by then, since that is paid for. */
export type Attempt =
  | ({ status: 'complete'; usage: UsageSoFar } & Answer)
  | { status: 'failed'; error: CoppiceError; outputBegan: boolean; outputBytes: number; usage: UsageSoFar };

export type CollectSettings = { provider: string; effectId: string; textBytesMax: number };

/** Reads a stream of deltas to its end; never throws. */
export async function collect(stream: ModelDeltas, settings: CollectSettings): Promise<Attempt> {
  const { provider } = settings;
  const output = new Output(settings);
  let responseModel: string | null = null;
  let responseId: string | null = null;
  const usage: UsageSoFar = {};
  const fail = (error: unknown): Attempt => ({
    status: 'failed',
    error: asCoppiceError(error, provider),
    outputBegan: output.began,
    outputBytes: output.bytes,
    usage,
  });
  try {
    for await (const deltas of stream) {
      for (const delta of deltas) {
        if (delta.type === 'raw') continue;
        if (delta.type === 'response-start') {
          responseModel = delta.responseModel ?? responseModel;
          responseId = delta.responseId ?? responseId;
        } else if (delta.type === 'usage') Object.assign(usage, delta.usage);
        else if (delta.type === 'response-end')
          return { status: 'complete', ...output.finish(delta), responseModel, responseId, usage };
        else output.add(delta);
      }
    }
  } catch (error) {
    return fail(error);
  }
  const where = output.began ? 'in the middle' : 'before it began';
  return fail(new CoppiceError('provider-failed', `${provider} ended its answer ${where}`, { retryable: true }));
}

type OutputDelta = Extract<ModelDelta, { type: 'text-delta' | 'thinking-delta' | 'tool-call-delta' }>;
type EndDelta = Extract<ModelDelta, { type: 'response-end' }>;
type Thought = ProviderThinking & { callsBefore: number };

/** What has arrived of an answer. */
class Output {
  readonly #settings: CollectSettings;
  readonly #bounds: AnswerBounds;
  readonly #text: string[] = [];
  #textSignature: Signature | null = null;
  readonly #thinking = new Map<number, { text: string[]; thought: Thought }>();
  readonly #calls = new Map<number, { id: string; name: string; arguments: string[]; signature?: Signature }>();

  constructor(settings: CollectSettings) {
    this.#settings = settings;
    this.#bounds = new AnswerBounds(`${settings.provider}'s answer`, settings.textBytesMax);
  }

  get began(): boolean {
    return this.#text.length > 0 || this.#calls.size > 0 || this.#thinking.size > 0;
  }

  get bytes(): number {
    return this.#bounds.bytes;
  }

  /** @throws CoppiceError `limit-exceeded`. */
  add(delta: OutputDelta): void {
    if (delta.type === 'text-delta') {
      this.#text.push(delta.text);
      this.#bounds.take(delta.text);
      if (delta.signature !== undefined) this.#textSignature = this.#signed(delta.signature);
      return;
    }
    if (delta.type === 'thinking-delta') return this.#think(delta);
    const call = this.#calls.get(delta.call) ?? this.#open(delta.call);
    if (delta.id !== undefined) call.id = this.#bounds.checkedId(delta.id);
    if (delta.name !== undefined) call.name = this.#bounds.checkedName(delta.name);
    if (delta.signature !== undefined) call.signature = this.#signed(delta.signature);
    call.arguments.push(delta.arguments);
    this.#bounds.take(delta.arguments);
  }

  #think({ block, text, redacted, signature }: Extract<OutputDelta, { type: 'thinking-delta' }>): void {
    const open = this.#thinking.get(block) ?? this.#openThought(block);
    open.text.push(text);
    this.#bounds.take(text);
    if (redacted === true) open.thought.redacted = true;
    if (signature !== undefined) open.thought.signature = this.#signed(signature);
  }

  #signed(signature: Signature): Signature {
    this.#bounds.take(signature.value);
    return signature;
  }

  finish({ finishReason, providerFinishReason }: EndDelta): Omit<Answer, 'responseModel' | 'responseId'> {
    const used = new Set<string>();
    const calls = [...this.#calls.entries()].toSorted(([one], [other]) => one - other);
    const toolCalls = calls.map(([position, { id, name, arguments: pieces, signature }]) => {
      // A tool result refers to its call by id, so a duplicate id is replaced like a missing one.
      const unique = id === '' || used.has(id) ? madeCallId(this.#settings.effectId, position) : id;
      used.add(unique);
      return { id: unique, name, arguments: pieces.join(''), ...(signature === undefined ? {} : { signature }) };
    });
    return {
      text: this.#text.join(''),
      ...(this.#textSignature === null ? {} : { textSignature: this.#textSignature }),
      toolCalls,
      thinking: [...this.#thinking.values()].map(({ text, thought }) => ({ ...thought, text: text.join('') })),
      providerFinishReason: providerFinishReason ?? null,
      // Many servers send `stop` although there are tool calls.
      finishReason: finishReason === 'stop' && toolCalls.length > 0 ? 'tool-calls' : finishReason,
    };
  }

  #openThought(block: number) {
    this.#bounds.openPart();
    const open: { text: string[]; thought: Thought } = {
      text: [],
      thought: { text: '', redacted: false, callsBefore: this.#calls.size },
    };
    this.#thinking.set(block, open);
    return open;
  }

  #open(position: number) {
    this.#bounds.openCall();
    const call: { id: string; name: string; arguments: string[]; signature?: Signature } = {
      id: '',
      name: '',
      arguments: [],
    };
    this.#calls.set(position, call);
    return call;
  }
}

/** Nine letters and digits: Mistral accepts no other ids, and may be the next provider of the conversation. Deterministic, and different for each `seed`. */
export function madeCallId(seed: string, position: number): string {
  const hash = createHash('sha256').update(`${seed}\n${position}`).digest('hex');
  return BigInt(`0x${hash}`).toString(36).slice(-9);
}

function asCoppiceError(error: unknown, provider: string): CoppiceError {
  if (error instanceof CoppiceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CoppiceError('provider-failed', `${provider} failed: ${message}`, { cause: error });
}

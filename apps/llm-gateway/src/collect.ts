import { CoppiceError } from '@coppice/contracts';
import type { Signature } from '@coppice/contracts';
import { AnswerBlocks, textOf } from './answer-blocks.ts';
import type { AnswerBlock } from './answer-blocks.ts';
import type { FinishReason, ModelDeltas, ProviderThinking, ProviderToolCall, UsageSoFar } from './provider/port.ts';

type Thought = ProviderThinking & { callsBefore: number };

export type Answer = {
  text: string;
  textSignature?: Signature;
  /** Tool calls in the order in which the model made them. */
  toolCalls: ProviderToolCall[];
  thinking: Thought[];
  finishReason: FinishReason;
  providerFinishReason: string | null;
  responseModel: string | null;
  responseId: string | null;
};

/**
 * Outcome of one attempt. A failure includes the usage and the size of the output so far, since the provider charges
 * for it.
 */
export type Attempt =
  | ({ status: 'complete'; usage: UsageSoFar } & Answer)
  | { status: 'failed'; error: CoppiceError; outputBegan: boolean; outputBytes: number; usage: UsageSoFar };

export type CollectSettings = { provider: string; effectId: string; textBytesMax: number };

/** Reads a stream of deltas to its end; never throws. */
export async function collect(
  stream: ModelDeltas,
  { provider, effectId, textBytesMax }: CollectSettings,
): Promise<Attempt> {
  const answer = new AnswerBlocks({
    seed: effectId,
    name: `${provider}'s answer`,
    textBytesMax,
    argumentsDefault: '',
  });
  const { usage } = answer;
  const fail = (error: unknown): Attempt => ({
    status: 'failed',
    error: asCoppiceError(error, provider),
    outputBegan: answer.blocks.length > 0,
    outputBytes: answer.bytes,
    usage,
  });
  try {
    for await (const deltas of stream) {
      for (const delta of deltas) {
        if (delta.type !== 'raw') answer.add(delta);
        if (answer.isComplete) return { status: 'complete', ...answerOf(answer), usage };
      }
    }
  } catch (error) {
    return fail(error);
  }
  const where = answer.blocks.length > 0 ? 'in the middle' : 'before it began';
  return fail(new CoppiceError('provider-failed', `${provider} ended its answer ${where}`, { retryable: true }));
}

function answerOf(answer: AnswerBlocks): Answer {
  const { blocks, calls, finishReason, providerFinishReason, responseModel, responseId } = answer;
  const texts = blocks.filter(({ type }) => type === 'text');
  const textSignature = texts.findLast(({ signature }) => signature !== undefined)?.signature;
  const inOrder = calls.toSorted((one, other) => (one.number ?? 0) - (other.number ?? 0));
  return {
    text: texts.map(textOf).join(''),
    ...(textSignature === undefined ? {} : { textSignature }),
    toolCalls: inOrder.map((call) => ({ id: call.id, name: call.name, arguments: textOf(call), ...signedBy(call) })),
    thinking: thoughtsIn(blocks),
    finishReason,
    providerFinishReason,
    responseModel,
    responseId,
  };
}

/** Joins the pieces of each thinking block. Other parts may have arrived between them, so they are found by number. */
function thoughtsIn(blocks: readonly AnswerBlock[]): Thought[] {
  const thoughts = new Map<number | null, Thought>();
  let callsBefore = 0;
  for (const block of blocks) {
    if (block.type === 'tool-call') callsBefore++;
    if (block.type !== 'thinking') continue;
    const thought = thoughts.get(block.number) ?? { text: '', redacted: false, callsBefore };
    thoughts.set(block.number, {
      ...thought,
      text: thought.text + textOf(block),
      redacted: thought.redacted || block.redacted,
      ...signedBy(block),
    });
  }
  return [...thoughts.values()];
}

const signedBy = ({ signature }: AnswerBlock): { signature?: Signature } =>
  signature === undefined ? {} : { signature };

function asCoppiceError(error: unknown, provider: string): CoppiceError {
  if (error instanceof CoppiceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CoppiceError('provider-failed', `${provider} failed: ${message}`, { cause: error });
}

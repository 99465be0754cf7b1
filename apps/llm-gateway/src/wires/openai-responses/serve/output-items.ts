import { textOf } from '../../../answer-blocks.ts';
import type { AnswerBlock } from '../../../answer-blocks.ts';
import type { BlockStep } from '../../../ingress/http/block-sequence.ts';
import { reasoningItem } from '../reasoning.ts';
import { pack } from '../../../ingress/http/foreign-signature.ts';
import { customInput } from './custom-tools.ts';
import { itemIdOf } from './references.ts';

/**
 * `id` is the answer's id, and `index` is the item's index in the answer. `customTools` contains the names of custom
 * tools.
 */
export type ItemAbout = { id: string; index: number; customTools: ReadonlySet<string> };
type WireEvent = { type: string } & Record<string, unknown>;

/**
 * Returns the block that carries a tool call's signature, since calls have no field for it. The block precedes the
 * call.
 */
export function carriersOf({ type, id, signature }: AnswerBlock): AnswerBlock[] {
  if (type !== 'tool-call' || signature === undefined) return [];
  return [{ type: 'thinking', number: null, pieces: [], id, name: '', redacted: true, signature }];
}

export function itemOf(block: AnswerBlock, about: ItemAbout): object {
  const text = textOf(block);
  const empty = emptyItem(block, about);
  if (block.type === 'text') return { ...empty, status: 'completed', content: [textPart(text)] };
  if (block.type === 'thinking') {
    const summary = text === '' ? [] : [{ type: 'summary_text', text }];
    return { ...empty, summary, ...signedBy(block) };
  }
  if (isCustom(block, about)) return { ...empty, status: 'completed', input: customInput(text) };
  return { ...empty, status: 'completed', arguments: text };
}

function emptyItem(block: AnswerBlock, about: ItemAbout): object {
  const { id: callId, name } = block;
  const id = idOf(block, about);
  if (block.type === 'text') return { id, type: 'message', status: 'in_progress', role: 'assistant', content: [] };
  if (block.type === 'thinking') return { id, type: 'reasoning', summary: [] };
  const call = { id, status: 'in_progress', call_id: callId, name };
  return isCustom(block, about)
    ? { ...call, type: 'custom_tool_call', input: '' }
    : { ...call, type: 'function_call', arguments: '' };
}

const isCustom = ({ name }: AnswerBlock, { customTools }: ItemAbout): boolean => customTools.has(name);

const textPart = (text: string): object => ({ type: 'output_text', text, annotations: [], logprobs: [] });

/**
 * Returns the fields for a signature. OpenAI's own signature consists of an item id and encrypted content. A signature
 * of another wire format is packed into the encrypted content.
 */
function signedBy({ id: callId, redacted, signature }: AnswerBlock): object {
  const own = callId === '' ? reasoningItem({ text: '', redacted, signature }) : null;
  return own === null
    ? { encrypted_content: pack({ signature, ...(callId === '' ? {} : { callId }) }) }
    : { id: own.id, encrypted_content: own.encrypted_content };
}

function idOf(block: AnswerBlock, about: ItemAbout): string {
  const id = (kind: string) => itemIdOf(kind, about.id, about.index);
  if (block.type === 'text') return id('msg');
  if (block.type === 'thinking') return id('rs');
  return isCustom(block, about) ? id('ctc') : id('fc');
}

export function stepEvents(step: BlockStep, about: ItemAbout): WireEvent[] {
  const place = { output_index: about.index, item_id: idOf(step.block, about) };
  const events = eventsOf[step.block.type](step, place, about);
  const item = (what: 'added' | 'done', value: object): WireEvent => ({
    type: `response.output_item.${what}`,
    output_index: about.index,
    item: value,
  });
  if (step.type === 'open') return [item('added', emptyItem(step.block, about)), ...events];
  return step.type === 'close' ? [...events, item('done', itemOf(step.block, about))] : events;
}

type Place = { output_index: number; item_id: string };
type StepWriter = (step: BlockStep, place: Place, about: ItemAbout) => WireEvent[];

const eventsOf: Readonly<Record<AnswerBlock['type'], StepWriter>> = {
  text: (step, place) => {
    const at = { ...place, content_index: 0 };
    if (step.type === 'open') return [{ type: 'response.content_part.added', ...at, part: textPart('') }];
    if (step.type === 'piece') return [{ type: 'response.output_text.delta', ...at, delta: step.text, logprobs: [] }];
    const text = textOf(step.block);
    return [
      { type: 'response.output_text.done', ...at, text, logprobs: [] },
      { type: 'response.content_part.done', ...at, part: textPart(text) },
    ];
  },
  thinking: (step, place) => {
    const at = { ...place, summary_index: 0 };
    if (step.block.pieces.length === 0) return [];
    const part = (text: string) => ({ type: 'summary_text', text });
    if (step.type === 'open') return [{ type: 'response.reasoning_summary_part.added', ...at, part: part('') }];
    if (step.type === 'piece') return [{ type: 'response.reasoning_summary_text.delta', ...at, delta: step.text }];
    const text = textOf(step.block);
    return [
      { type: 'response.reasoning_summary_text.done', ...at, text },
      { type: 'response.reasoning_summary_part.done', ...at, part: part(text) },
    ];
  },
  'tool-call': (step, place, about) => {
    if (isCustom(step.block, about)) return customCall(step, place);
    if (step.type === 'open') return [];
    if (step.type === 'piece') return [{ type: 'response.function_call_arguments.delta', ...place, delta: step.text }];
    const { name } = step.block;
    return [{ type: 'response.function_call_arguments.done', ...place, name, arguments: textOf(step.block) }];
  },
};

/**
 * Returns the events of a custom tool's call. They follow the last piece, since the input can't be extracted from
 * incomplete JSON.
 */
function customCall(step: BlockStep, place: Place): WireEvent[] {
  if (step.type !== 'close') return [];
  const input = customInput(textOf(step.block));
  return [
    { type: 'response.custom_tool_call_input.delta', ...place, delta: input },
    { type: 'response.custom_tool_call_input.done', ...place, input },
  ];
}

import type { AnswerBounds } from '../../answer-bounds.ts';
import type { ModelDelta } from '../../provider/port.ts';
import { signatureOf } from './reasoning.ts';
import type { Item, ItemPart, ResponsesEvent } from './schemas.ts';

/** An item that has begun. `received` names the parts of which at least one piece arrived. */
type Open = {
  call: number | null;
  block: number | null;
  idReceived: boolean;
  nameReceived: boolean;
  received: Set<string>;
};

/**
 * The items of an answer, which are messages, reasoning and tool calls. The server sends each item in pieces, and then
 * as a whole. The whole item is used only for parts of which no piece arrived. An event belongs to the item with its
 * `output_index`. If the event has no index, its item id decides. Ids alone aren't enough, since some servers send a
 * different id with each event.
 */
export class OutputItems {
  readonly #bounds: AnswerBounds;
  readonly #open = new Map<string, Open>();
  #calls = 0;
  #blocks = 0;
  #refused = false;

  constructor(bounds: AnswerBounds) {
    this.#bounds = bounds;
  }

  get calls(): number {
    return this.#calls;
  }

  get refused(): boolean {
    return this.#refused;
  }

  /** Maps one event. Ignores unknown events and unknown kinds of items. */
  map(event: ResponsesEvent): ModelDelta[] {
    const { type, item } = event;
    const key = String(event.output_index ?? event.item_id ?? item?.id ?? '');
    switch (type) {
      case 'response.output_item.added':
        return item && isCall(item) ? this.#describeCall(key, item) : [];
      case 'response.output_item.done':
        return item ? this.#wholeItem(key, item) : [];
      case 'response.output_text.delta':
      case 'response.refusal.delta':
        return this.#say(key, event.content_index ?? 0, event.delta ?? '', {
          isRefusal: type === 'response.refusal.delta',
        });
      case 'response.reasoning_summary_text.delta':
        return this.#think(key, `summary ${event.summary_index ?? 0}`, event.delta ?? '');
      case 'response.reasoning_text.delta':
        return this.#think(key, `content ${event.content_index ?? 0}`, event.delta ?? '');
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        return this.#argue(key, event.delta ?? '');
      case 'response.function_call_arguments.done':
      case 'response.custom_tool_call_input.done':
        return this.#wholeArguments(key, event.arguments ?? event.input ?? '');
      default:
        return [];
    }
  }

  /** Maps the items of an unstreamed answer. Returns nothing if the items already arrived in events. */
  whole(items: readonly Item[]): ModelDelta[] {
    if (this.#open.size > 0) return [];
    return items.flatMap((item, index) => this.#wholeItem(String(index), item));
  }

  /**
   * Returns a delta with an empty object for each tool call without arguments, since servers reject an empty text in
   * later requests.
   */
  finish(): ModelDelta[] {
    return [...this.#open.values()].flatMap(({ call, received }): ModelDelta[] =>
      call === null || received.has('arguments') ? [] : [{ type: 'tool-call-delta', call, arguments: '{}' }],
    );
  }

  #wholeItem(key: string, item: Item): ModelDelta[] {
    if (isCall(item)) {
      const described = this.#describeCall(key, item);
      return [...described, ...this.#wholeArguments(key, item.arguments ?? item.input ?? '')];
    }
    if (item.type === 'message')
      return (item.content ?? []).flatMap((part, index) => this.#wholePart(key, index, part));
    return item.type === 'reasoning' ? this.#wholeThought(key, item) : [];
  }

  #wholePart(key: string, index: number, { type, text, refusal }: ItemPart): ModelDelta[] {
    const isRefusal = type === 'refusal';
    if (!isRefusal && type !== 'output_text') return [];
    const isReceived = this.#at(key).received.has(`content ${index}`);
    return isReceived ? [] : this.#say(key, index, (isRefusal ? refusal : text) ?? '', { isRefusal });
  }

  #wholeThought(key: string, { id, summary, content, encrypted_content: encrypted }: Item): ModelDelta[] {
    const { received } = this.#at(key);
    const missing = received.size > 0 ? [] : [...textsOf(summary, 'summary'), ...textsOf(content, 'content')];
    const deltas = missing.flatMap(([part, text]) => this.#think(key, part, text));
    if (!id || !encrypted) return deltas;
    const signature = signatureOf(id, encrypted);
    return [...deltas, { type: 'thinking-delta', block: this.#blockOf(key), text: '', signature }];
  }

  #say(key: string, index: number, text: string, { isRefusal }: { isRefusal: boolean }): ModelDelta[] {
    if (isRefusal) this.#refused = true;
    if (text === '') return [];
    this.#markReceived(this.#at(key), `content ${index}`);
    return [{ type: 'text-delta', text }];
  }

  /** Maps a piece of reasoning. `part` is a part of the summary or content. A new part begins a paragraph. */
  #think(key: string, part: string, text: string): ModelDelta[] {
    if (text === '') return [];
    const open = this.#at(key);
    const beginsParagraph = open.received.size > 0 && !open.received.has(part);
    this.#markReceived(open, part);
    return [{ type: 'thinking-delta', block: this.#blockOf(key), text: beginsParagraph ? `\n\n${text}` : text }];
  }

  #describeCall(key: string, { call_id: id, name }: Item): ModelDelta[] {
    const call = this.#callOf(key);
    const open = this.#at(key);
    const named = { ...(id && !open.idReceived ? { id } : {}), ...(name && !open.nameReceived ? { name } : {}) };
    if (Object.keys(named).length === 0) return [];
    open.idReceived ||= 'id' in named;
    open.nameReceived ||= 'name' in named;
    return [{ type: 'tool-call-delta', call, ...named, arguments: '' }];
  }

  #argue(key: string, text: string): ModelDelta[] {
    if (text === '') return [];
    const call = this.#callOf(key);
    if (text.trim() !== '') this.#markReceived(this.#at(key), 'arguments');
    return [{ type: 'tool-call-delta', call, arguments: text }];
  }

  #wholeArguments(key: string, text: string): ModelDelta[] {
    return this.#at(key).received.has('arguments') ? [] : this.#argue(key, text);
  }

  #markReceived({ received }: Open, part: string): void {
    if (received.has(part)) return;
    this.#bounds.openPart();
    received.add(part);
  }

  #at(key: string): Open {
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    this.#bounds.openPart();
    const open = { call: null, block: null, idReceived: false, nameReceived: false, received: new Set<string>() };
    this.#open.set(this.#bounds.checkedId(key), open);
    return open;
  }

  #callOf(key: string): number {
    return (this.#at(key).call ??= this.#calls++);
  }

  #blockOf(key: string): number {
    return (this.#at(key).block ??= this.#blocks++);
  }
}

const isCall = ({ type }: Item): boolean => type === 'function_call' || type === 'custom_tool_call';

const textsOf = (parts: Item['content'], name: string): [string, string][] =>
  (parts ?? []).map(({ text }, index) => [`${name} ${index}`, text ?? '']);

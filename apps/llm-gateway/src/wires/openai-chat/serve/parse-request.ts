import type { ModelSettings, ToolDefinition } from '@coppice/contracts';
import type { ProviderMessage, ProviderPart } from '../../../provider/port.ts';
import { responseFormatOf, toolChoiceOf } from '../../openai-settings.ts';
import { textsApart } from '../../texts.ts';
import { largestOf } from '../../../ingress/http/answer-limits.ts';
import type { RequestParts, Question } from '../../../ingress/http/endpoint.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import { imageOf } from '../../../ingress/http/images.ts';
import { readRequest } from '../../../ingress/http/read-request.ts';
import { effortOf, said } from '../../../ingress/http/settings.ts';
import { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import { chatRequestSchema } from './schemas.ts';
import type { ChatRequest, Content, Message, ToolCall } from './schemas.ts';
import { ChatAnswerWriter } from './write-answer.ts';

/** Fields that change the form of the answer and have no equivalent in other wire formats. */
const ownFields = ['logprobs', 'audio', 'functions', 'function_call', 'web_search_options'];

/** @throws CoppiceError `invalid-request`. */
export function parseChatRequest(body: unknown, { headers, bytes }: RequestParts): Question {
  const request = readRequest(chatRequestSchema, body);
  const untranslatable = new Untranslatable();
  untranslatable.addPresent(request, ownFields);
  const stream = request.stream ?? false;
  const modalities = request.modalities ?? [];
  if (modalities.some((modality) => modality !== 'text')) untranslatable.add('modalities', 'text alone', modalities);
  const usageWanted = request.stream_options?.include_usage === true;
  return {
    model: request.model,
    stream,
    framing: 'server-sent-events',
    request: {
      messages: messagesOf(request.messages, untranslatable),
      tools: toolsOf(request),
      settings: settingsOf(request, untranslatable),
      stream,
      original: { wire: 'openai-chat', body: request, headers },
      bytes,
    },
    untranslatable: untranslatable.issues,
    writer: (about) => new ChatAnswerWriter(about, { usageWanted }),
  };
}

function messagesOf(messages: readonly Message[], untranslatable: Untranslatable): ProviderMessage[] {
  const names = new Map<string, string>();
  return messages.map((message, index) => {
    const field = `messages[${index}]`;
    const { role } = message;
    if (role === 'assistant') return assistantMessage(message, field, { names, untranslatable });
    if (role === 'tool') return toolMessage(message, field, { names, untranslatable });
    if (role !== 'user' && role !== 'system' && role !== 'developer')
      untranslatable.add(`${field}.role`, 'one of system, developer, user, assistant, tool', role);
    const content = partsOf(message.content, `${field}.content`, untranslatable);
    return { role: role === 'user' ? 'user' : 'system', content };
  });
}

type Reading = { names: Map<string, string>; untranslatable: Untranslatable };

function assistantMessage(message: Message, field: string, { names, untranslatable }: Reading): ProviderMessage {
  const content: ProviderPart[] = [];
  if (message.reasoning_content) content.push({ type: 'thinking', text: message.reasoning_content, redacted: false });
  content.push(...partsOf(message.content, `${field}.content`, untranslatable));
  if (message.refusal) content.push({ type: 'text', text: message.refusal });
  for (const [index, call] of (message.tool_calls ?? []).entries()) {
    if (call.function === undefined) {
      untranslatable.add(`${field}.tool_calls[${index}].type`, 'function', call['type']);
      continue;
    }
    const { name, arguments: text } = call.function;
    names.set(call.id, name);
    content.push({ type: 'tool-call', id: call.id, name, arguments: text, ...signatureOf(call) });
  }
  return { role: 'assistant', content };
}

function signatureOf({ extra_content: extra }: ToolCall) {
  const value = extra?.google?.thought_signature;
  return typeof value === 'string' ? { signature: { wire: 'gemini', value } } : {};
}

function toolMessage(message: Message, field: string, { names, untranslatable }: Reading): ProviderMessage {
  const callId = message.tool_call_id ?? '';
  const parts = partsOf(message.content, `${field}.content`, untranslatable);
  // OpenAI rejects images in tool results, but other servers of its wire format accept them.
  const images = parts.flatMap((part) => (part.type === 'image' ? [part.image] : []));
  const result: ProviderPart = {
    type: 'tool-result',
    callId,
    name: names.get(callId) ?? '',
    content: textsApart(parts),
    ...(images.length === 0 ? {} : { images }),
    isError: false,
  };
  return { role: 'tool', content: [result] };
}

function partsOf(content: Content, field: string, untranslatable: Untranslatable): ProviderPart[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return (content ?? []).flatMap((part, index): ProviderPart[] => {
    const { type } = part;
    if (type === 'text' && typeof part['text'] === 'string') return [{ type: 'text', text: part['text'] }];
    if (type === 'refusal' && typeof part['refusal'] === 'string') return [{ type: 'text', text: part['refusal'] }];
    const image = type === 'image_url' ? imageOf(fieldsOf(part['image_url'])['url']) : null;
    if (image !== null) return [{ type: 'image', image }];
    untranslatable.add(`${field}[${index}]`, 'a text, or an image as a data: or https: address', part);
    return [];
  });
}

/** Leaves out tools that aren't functions, since other wire formats can't offer them. */
const toolsOf = ({ tools }: ChatRequest): ToolDefinition[] =>
  (tools ?? []).flatMap((tool) => {
    if (tool.type !== 'function' || tool.function === undefined) return [];
    const { name, description, parameters, strict } = tool.function;
    const described = { name, description: description ?? '', ...said({ strict }) };
    return [{ ...described, parameters: parameters ?? { type: 'object', properties: {} } }];
  });

function settingsOf(request: ChatRequest, untranslatable: Untranslatable): ModelSettings {
  const { stop, reasoning_effort: effort } = request;
  const thinking = typeof effort === 'string' ? effortOf(effort, 'reasoning_effort', untranslatable) : undefined;
  return said({
    maxOutputTokens: largestOf(request),
    temperature: request.temperature,
    topP: request.top_p,
    seed: request.seed,
    stopSequences: typeof stop === 'string' ? [stop] : stop,
    toolChoice: toolChoiceOf(request.tool_choice, (choice) => fieldsOf(choice['function'])['name'], untranslatable),
    parallelToolCalls: request.parallel_tool_calls,
    responseFormat: responseFormatOf(request.response_format, (format) => format.json_schema, {
      field: 'response_format',
      untranslatable,
    }),
    thinking,
  });
}

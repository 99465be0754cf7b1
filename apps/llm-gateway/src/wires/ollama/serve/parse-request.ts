import type { ModelSettings, ToolDefinition } from '@coppice/contracts';
import type { ProviderImage, ProviderMessage, ProviderPart } from '../../../provider/port.ts';
import { CallIds } from '../../../ingress/http/call-ids.ts';
import type { Asked, Question } from '../../../ingress/http/endpoint.ts';
import { readRequest } from '../../../ingress/http/read-request.ts';
import { effortOf, said } from '../../../ingress/http/settings.ts';
import { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import { ollamaRequestSchema } from './schemas.ts';
import type { Message, OllamaRequest } from './schemas.ts';
import { OllamaAnswerWriter } from './write-answer.ts';

/** Parses the body of `POST /api/chat`. @throws CoppiceError `invalid-request`. */
export function parseOllamaRequest(body: unknown, { headers, bytes }: Asked): Question {
  const request = readRequest(ollamaRequestSchema, body);
  const untranslatable = new Untranslatable();
  const ids = new CallIds();
  const stream = request.stream ?? true;
  return {
    model: request.model,
    stream,
    framing: 'json-lines',
    request: {
      messages: request.messages.map((message) => messageOf(message, ids)),
      tools: toolsOf(request),
      settings: settingsOf(request, untranslatable),
      stream,
      original: { wire: 'ollama', body: request, headers },
      bytes,
    },
    untranslatable: untranslatable.issues,
    writer: (about) => new OllamaAnswerWriter(about),
  };
}

function messageOf(message: Message, ids: CallIds): ProviderMessage {
  const { role, content, thinking, images, tool_calls: calls } = message;
  if (role === 'tool') {
    const call = ids.result(message.tool_name ?? '', message.tool_call_id);
    return {
      role,
      content: [{ type: 'tool-result', callId: call.id, name: call.name, content: content ?? '', isError: false }],
    };
  }
  const parts: ProviderPart[] = [];
  if (thinking) parts.push({ type: 'thinking', text: thinking, redacted: false });
  if (content) parts.push({ type: 'text', text: content });
  for (const image of images ?? []) parts.push({ type: 'image', image: imageFrom(image) });
  for (const { id, function: called } of calls ?? []) {
    const { name, arguments: args } = called;
    parts.push({ type: 'tool-call', id: ids.call(name, id), name, arguments: JSON.stringify(args ?? {}) });
  }
  return { role, content: parts };
}

const beginnings: readonly [RegExp, string][] = [
  [/^\/9j/, 'image/jpeg'],
  [/^iVBOR/, 'image/png'],
  [/^R0lGOD/, 'image/gif'],
  [/^UklGR/, 'image/webp'],
];

/** Detects the media type by the beginning of the data. */
function imageFrom(base64: string): ProviderImage {
  const [, mediaType = 'image/png'] = beginnings.find(([pattern]) => pattern.test(base64)) ?? [];
  return { mediaType, base64 };
}

const toolsOf = ({ tools }: OllamaRequest): ToolDefinition[] =>
  (tools ?? []).flatMap((tool) => {
    if (tool.function === undefined) return [];
    const { name, description, parameters } = tool.function;
    return [{ name, description: description ?? '', parameters: parameters ?? { type: 'object', properties: {} } }];
  });

function settingsOf({ options, format, think }: OllamaRequest, untranslatable: Untranslatable): ModelSettings {
  const stop = options?.stop;
  const stops = typeof stop === 'string' ? [stop] : stop;
  return said({
    // A negative number means no limit in Ollama.
    maxOutputTokens: (options?.num_predict ?? 0) > 0 ? options?.num_predict : undefined,
    temperature: options?.temperature,
    topP: options?.top_p,
    topK: options?.top_k === 0 ? undefined : options?.top_k,
    seed: options?.seed,
    stopSequences: stops?.length === 0 ? undefined : stops,
    responseFormat: formatOf(format),
    thinking: thinkingOf(think, untranslatable),
  });
}

function formatOf(format: OllamaRequest['format']): ModelSettings['responseFormat'] | undefined {
  if (typeof format === 'object' && format !== null) return { type: 'json-schema', name: 'answer', schema: format };
  return format === 'json' ? { type: 'json' } : undefined;
}

function thinkingOf(
  think: OllamaRequest['think'],
  untranslatable: Untranslatable,
): ModelSettings['thinking'] | undefined {
  if (typeof think === 'string') return effortOf(think, 'think', untranslatable);
  if (think === true) return { effort: 'medium' };
  return think === false ? { effort: 'none' } : undefined;
}

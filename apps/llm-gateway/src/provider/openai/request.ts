import type { ModelRequest, ProviderMessage, ProviderPart } from '../port.ts';

type WireMessage =
  | { role: 'system' | 'user'; content: string }
  | { role: 'assistant'; content: string | null; tool_calls?: WireToolCall[] }
  | { role: 'tool'; tool_call_id: string; content: string };
type WireToolCall = { id: string; type: 'function'; function: { name: string; arguments: string } };

/** The pure mapping of a request to the body of `POST /chat/completions`. */
export function requestBody(request: ModelRequest): object {
  const tools = request.tools.map(({ name, description, parameters }) => ({
    type: 'function',
    function: { name, description, parameters },
  }));
  return {
    model: request.model,
    messages: request.messages.flatMap(toWire),
    stream: true,
    stream_options: { include_usage: true },
    // An empty list is refused by some.
    ...(tools.length === 0 ? {} : { tools }),
  };
}

function toWire({ role, content }: ProviderMessage): WireMessage[] {
  const text = content.map((part) => (part.type === 'text' ? part.text : '')).join('');
  if (role === 'assistant') return [assistantMessage(text, content)];
  const results = content.filter((part) => part.type === 'tool-result').map(toolMessage);
  if (role === 'tool' || (results.length > 0 && text === '')) return results;
  return [...results, { role, content: text }];
}

function assistantMessage(text: string, content: readonly ProviderPart[]): WireMessage {
  const calls = content
    .filter((part) => part.type === 'tool-call')
    .map((call) => ({
      id: call.id,
      type: 'function' as const,
      function: { name: acceptable(call.name), arguments: wellFormed(call.arguments) },
    }));
  // An empty answer stays one: leaving it out would put two user messages in a row, which some chat templates refuse.
  if (calls.length === 0) return { role: 'assistant', content: text };
  return { role: 'assistant', content: text === '' ? null : text, tool_calls: calls };
}

function toolMessage(part: Extract<ProviderPart, { type: 'tool-result' }>): WireMessage {
  // The wire has no place for it elsewhere.
  const mark = part.isError && !/^error/i.test(part.content) ? 'Error: ' : '';
  return { role: 'tool', tool_call_id: part.callId, content: `${mark}${part.content}` };
}

/** A name that the model made up, so that a server which refuses its form doesn't refuse the conversation for ever. */
const acceptable = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';

/**
 * Arguments that aren't a JSON object, as the model wrote them, inside one: servers that render a chat template parse the arguments of earlier calls, and
 * would refuse the conversation for ever (llama.cpp's does so with HTTP 500).
 */
function wellFormed(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return text;
  } catch {
    // Falls through: it is what this function is for.
  }
  return text.trim() === '' ? '{}' : JSON.stringify({ malformedArguments: text });
}

import { CoppiceError } from '@coppice/contracts';
import type { ModelSettings, ToolDefinition } from '@coppice/contracts';
import { argumentsObject } from '../acceptable-history.ts';
import type { ModelRequest, ProviderImage, ProviderMessage, ProviderPart } from '../../provider/port.ts';
import { answerText, resultText, textsApart } from '../texts.ts';

type WireMessage = {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string;
  thinking?: string;
  images?: string[];
  tool_calls?: { id: string; function: { name: string; arguments: object } }[];
  tool_name?: string;
  tool_call_id?: string;
};

/**
 * Maps a request to the body of `POST /api/chat`. The format can't force a tool call or limit the number of calls.
 * @throws CoppiceError `invalid-request` for an image given by URL.
 */
export function requestBody({ model, messages, tools, settings }: ModelRequest, stream: boolean): object {
  const options = optionsOf(settings);
  const offered = offeredTools(tools, settings.toolChoice);
  return {
    model,
    messages: messages.flatMap(toWire),
    stream,
    // These fields make the server reject a conversation that is too long. By default it silently drops the beginning
    // of the conversation. Older servers ignore these fields.
    truncate: false,
    shift: false,
    ...(offered.length === 0
      ? {}
      : { tools: offered.map(({ strict: _strict, ...tool }) => ({ type: 'function', function: tool })) }),
    ...(settings.thinking === undefined ? {} : { think: thinkOf(settings.thinking) }),
    ...formatOf(settings.responseFormat),
    ...(Object.keys(options).length === 0 ? {} : { options }),
  };
}

function offeredTools(
  tools: readonly ToolDefinition[],
  choice: ModelSettings['toolChoice'],
): readonly ToolDefinition[] {
  if (choice === 'none') return [];
  return typeof choice === 'object' ? tools.filter(({ name }) => name === choice.tool) : tools;
}

function optionsOf({ maxOutputTokens, temperature, topP, topK, seed, stopSequences }: ModelSettings): object {
  return {
    ...(maxOutputTokens === undefined ? {} : { num_predict: maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(seed === undefined ? {} : { seed }),
    ...(stopSequences === undefined ? {} : { stop: stopSequences }),
  };
}

function formatOf(format: ModelSettings['responseFormat']): object {
  if (format === undefined || format.type === 'text') return {};
  return { format: format.type === 'json' ? 'json' : format.schema };
}

/** Models without levels treat a level as `true`. */
function thinkOf(thinking: NonNullable<ModelSettings['thinking']>): boolean | string {
  if ('budgetTokens' in thinking) return thinking.budgetTokens > 0;
  if (thinking.effort === 'none') return false;
  return thinking.effort === 'minimal' ? 'low' : thinking.effort;
}

function toWire({ role, content }: ProviderMessage): WireMessage[] {
  if (role === 'assistant') return [assistantMessage(content)];
  const text = textsApart(content);
  const results = content.filter((part) => part.type === 'tool-result').map(toolMessage);
  // A tool message can't contain an image, so images follow in a user message.
  const images = content.flatMap(imagesOf).map(base64Of);
  if (images.length > 0) return [...results, { role: 'user', content: text, images }];
  return role === 'tool' || (results.length > 0 && text === '') ? results : [...results, { role, content: text }];
}

function assistantMessage(content: readonly ProviderPart[]): WireMessage {
  const calls = content
    .filter((part) => part.type === 'tool-call')
    .map(({ id, name, arguments: written }) => ({ id, function: { name, arguments: argumentsObject(written) } }));
  // Only other wire formats sign thinking, and Ollama can't use theirs.
  const thinking = content
    .filter((part) => part.type === 'thinking')
    .map((part) => (part.signature === undefined ? part.text : ''))
    .join('');
  return {
    role: 'assistant',
    content: answerText(content),
    ...(thinking === '' ? {} : { thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** Older servers ignore the call's id and read only the tool's name. */
const toolMessage = (part: Extract<ProviderPart, { type: 'tool-result' }>): WireMessage => ({
  role: 'tool',
  content: resultText(part),
  tool_name: part.name,
  tool_call_id: part.callId,
});

function imagesOf(part: ProviderPart): readonly ProviderImage[] {
  if (part.type === 'image') return [part.image];
  return part.type === 'tool-result' ? (part.images ?? []) : [];
}

function base64Of(image: ProviderImage): string {
  if ('base64' in image) return image.base64;
  throw new CoppiceError(
    'invalid-request',
    `an image in the messages: expected base64, since Ollama fetches none, and got the address ${image.url}`,
  );
}

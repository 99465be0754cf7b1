import type { ModelSettings, ToolDefinition } from '@coppice/contracts';
import { isNamed } from '../../provider/named-model.ts';
import type { ModelRequest, OriginalRequest } from '../../provider/port.ts';
import { messagesOf, systemOf } from './messages.ts';
import type { TextBlock, WireMessage } from './messages.ts';
import { traitsOf } from './models.ts';
import type { ModelTraits } from './models.ts';
import { formatOf } from './response-format.ts';
import { thinkingAndLength, withoutLateThinking } from './thinking.ts';

/** Maps a request to the body of `POST /v1/messages`. The format has no field for `seed`. */
export function requestBody({ model, messages, tools, settings }: ModelRequest, stream: boolean): object {
  const traits = traitsOf(model);
  const { schema, instruction } = formatOf(settings.responseFormat, traits);
  const system = [
    ...systemOf(messages),
    ...(instruction === null ? [] : [{ type: 'text' as const, text: instruction }]),
  ];
  const conversation = messagesOf(messages);
  if (tools.length > 0 || conversation.length > 1) markForCache(system, conversation);
  const { maxOutputTokens, thinking, effort } = thinkingAndLength(settings, traits, conversation);
  const outputConfig = {
    ...(effort === undefined ? {} : { effort }),
    ...(schema === null ? {} : { format: { type: 'json_schema', schema } }),
  };
  return {
    model,
    max_tokens: maxOutputTokens,
    stream,
    ...(system.length === 0 ? {} : { system }),
    messages: conversation,
    ...(tools.length === 0 ? {} : { tools: tools.map(toolOf), ...toolSettings(settings) }),
    ...(thinking === undefined ? {} : { thinking }),
    ...(Object.keys(outputConfig).length === 0 ? {} : { output_config: outputConfig }),
    ...samplingOf(settings, traits, thinking?.type === 'enabled' || thinking?.type === 'adaptive'),
  };
}

/** Implements `passOn` of the wire format. */
export function passedOn(original: OriginalRequest, model: string, stream: boolean): object {
  const body = withoutLateThinking(original, model);
  const { temperature: _temperature, top_p: _topP, top_k: _topK, ...unsampled } = body;
  const taken = isNamed(model, original) || traitsOf(model).sampling ? body : unsampled;
  return { ...taken, model, stream };
}

/**
 * Marks the prefix that the next request will repeat, since this vendor caches only marked prefixes. The first mark
 * covers tools and system messages, which other conversations may share. The second mark covers the conversation so
 * far.
 */
function markForCache(system: readonly TextBlock[], conversation: readonly WireMessage[]): void {
  const last = conversation.at(-1);
  for (const block of [system.at(-1), last?.role === 'user' ? last.content.at(-1) : undefined]) {
    if (block !== undefined) block.cache_control = { type: 'ephemeral' };
  }
}

const toolOf = ({ name, description, parameters }: ToolDefinition): object => ({
  name,
  ...(description === '' ? {} : { description }),
  input_schema: parameters,
});

function toolSettings({ toolChoice, parallelToolCalls }: ModelSettings): object {
  const single = parallelToolCalls === false ? { disable_parallel_tool_use: true } : {};
  if (toolChoice === 'none') return { tool_choice: { type: 'none' } };
  if (typeof toolChoice === 'object') return { tool_choice: { type: 'tool', name: toolChoice.tool, ...single } };
  if (toolChoice === 'required') return { tool_choice: { type: 'any', ...single } };
  if (toolChoice === undefined && parallelToolCalls === undefined) return {};
  return { tool_choice: { type: 'auto', ...single } };
}

/**
 * Returns the sampling settings and the stop sequences. Newer models reject a temperature. The other models reject it
 * while they think.
 */
function samplingOf(settings: ModelSettings, traits: ModelTraits, thinks: boolean): object {
  const { temperature, topP, topK, stopSequences } = settings;
  const stops = stopSequences?.filter((sequence) => sequence.trim() !== '') ?? [];
  const stop = stops.length === 0 ? {} : { stop_sequences: stops };
  if (!traits.sampling || thinks) return stop;
  return {
    ...stop,
    // The gateway's contract allows a temperature of up to 2. This format allows up to 1.
    ...(temperature === undefined ? {} : { temperature: Math.min(temperature, 1) }),
    // Models from version 4.5 on reject `temperature` and `top_p` together.
    ...(topP === undefined || temperature !== undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
  };
}

import { neverThinks, openAiEffort } from '../../provider/effort.ts';
import { bodyFor, withoutRefused } from '../../provider/openai-models.ts';
import type { ModelRequest, OriginalRequest } from '../../provider/port.ts';
import { formatFields, toolSettings } from '../openai-settings.ts';
import { inputOf } from './input.ts';

/**
 * Maps a request to the body of `POST /responses`. The format has no fields for `topK`, `seed` and `stopSequences`. A
 * thinking budget becomes a level.
 */
export function requestBody(request: ModelRequest, stream: boolean): object {
  const { instructions, input } = inputOf(request.messages);
  // By default the server is strict, and treats a tool's optional parameters as required.
  const tools = request.tools.map((tool) => ({ type: 'function', strict: false, ...tool }));
  return {
    model: request.model,
    ...(instructions === null ? {} : { instructions }),
    input,
    stream,
    // The gateway stores the conversation itself, so the server must store nothing and return its reasoning encrypted.
    store: false,
    ...(neverThinks(request.model) ? {} : { include: ['reasoning.encrypted_content'] }),
    ...(tools.length === 0 ? {} : { tools, ...toolSettings(request.settings, (name) => ({ type: 'function', name })) }),
    ...settingsOf(request),
  };
}

/** Implements `passOn` of the wire format. */
export const passedOn = (original: OriginalRequest, model: string, stream: boolean): object => ({
  ...bodyFor(model, original),
  model,
  ...(stream ? { stream } : {}),
  ...(original.maxOutputTokens === undefined ? {} : { max_output_tokens: original.maxOutputTokens }),
});

function settingsOf({ model, settings }: ModelRequest): object {
  const { maxOutputTokens, temperature, topP, responseFormat, thinking } = settings;
  const effort = openAiEffort(model, thinking);
  return withoutRefused(model, {
    ...(maxOutputTokens === undefined ? {} : { max_output_tokens: maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(responseFormat === undefined ? {} : { text: { format: formatFields(responseFormat, (schema) => schema) } }),
    ...(effort === null ? {} : { reasoning: { effort } }),
  });
}

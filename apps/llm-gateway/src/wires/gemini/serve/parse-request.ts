import { validate } from '@coppice/bus';
import type { ModelSettings, ToolDefinition } from '@coppice/contracts';
import type { ProviderMessage } from '../../../provider/port.ts';
import type { RequestParts, Question } from '../../../ingress/http/endpoint.ts';
import { effortOf, said } from '../../../ingress/http/settings.ts';
import { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import { camelCased } from './camel-case.ts';
import { PartMapper } from './parts.ts';
import { generateRequestSchema } from './schemas.ts';
import type { GenerateRequest } from './schemas.ts';
import { jsonSchemaOf } from './tool-schema.ts';
import { withoutForeign } from './without-foreign.ts';
import { GenerateAnswerWriter } from './write-answer.ts';

/** @throws CoppiceError `invalid-request`. */
export function parseGenerateRequest(body: unknown, { path, query, headers, bytes }: RequestParts): Question {
  const request = validate(generateRequestSchema, camelCased(body), 'the request');
  const untranslatable = new Untranslatable();
  untranslatable.addPresent(request, ['cachedContent']);
  const parts = new PartMapper(untranslatable);
  const stream = path.endsWith(':streamGenerateContent');
  return {
    model: modelIn(path),
    stream,
    framing: query.get('alt') === 'sse' ? 'server-sent-events' : 'json-array',
    request: {
      messages: [
        ...systemOf(request, parts),
        ...request.contents.flatMap((content, index) => parts.messages(content, `contents[${index}]`)),
      ],
      tools: toolsOf(request),
      settings: settingsOf(request, untranslatable),
      stream,
      original: { wire: 'gemini', body: withoutForeign(body as Record<string, unknown>), headers },
      bytes,
    },
    untranslatable: untranslatable.issues,
    writer: (about) => new GenerateAnswerWriter(about),
  };
}

/** Some clients encode a slash in the model's name as `%2F`. */
function modelIn(path: string): string {
  const name = path.replace(/^\/v1(?:beta|alpha)?\/models\//, '').replace(/:[a-zA-Z]+$/, '');
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function systemOf({ systemInstruction }: GenerateRequest, parts: PartMapper): ProviderMessage[] {
  if (systemInstruction === undefined || systemInstruction === null) return [];
  const given = typeof systemInstruction === 'string' ? [{ text: systemInstruction }] : (systemInstruction.parts ?? []);
  return [{ role: 'system', content: parts.parts(given, 'systemInstruction.parts') }];
}

/** Leaves out the tools that Gemini runs, since other wire formats can't offer them. */
const toolsOf = ({ tools }: GenerateRequest): ToolDefinition[] =>
  (tools ?? [])
    .flatMap(({ functionDeclarations }) => functionDeclarations ?? [])
    .map(({ name, description, parameters, parametersJsonSchema }) => ({
      name,
      description: description ?? '',
      parameters: parametersJsonSchema ?? (parameters ? jsonSchemaOf(parameters) : { type: 'object', properties: {} }),
    }));

function settingsOf(request: GenerateRequest, untranslatable: Untranslatable): ModelSettings {
  const { generationConfig: generation } = request;
  if (generation?.responseLogprobs === true)
    untranslatable.add('generationConfig.responseLogprobs', 'no such field', true);
  const modalities = generation?.responseModalities ?? [];
  if (modalities.some((modality) => modality.toUpperCase() !== 'TEXT'))
    untranslatable.add('generationConfig.responseModalities', 'TEXT alone', modalities);
  const topK = generation?.topK;
  return said({
    maxOutputTokens: generation?.maxOutputTokens,
    temperature: generation?.temperature,
    topP: generation?.topP,
    topK: typeof topK === 'number' ? Math.max(1, Math.round(topK)) : undefined,
    seed: generation?.seed,
    stopSequences: generation?.stopSequences?.length === 0 ? undefined : generation?.stopSequences,
    toolChoice: choiceOf(request, untranslatable),
    responseFormat: formatOf(request, untranslatable),
    thinking: thinkingOf(request, untranslatable),
  });
}

function choiceOf(
  { toolConfig }: GenerateRequest,
  untranslatable: Untranslatable,
): ModelSettings['toolChoice'] | undefined {
  const { mode, allowedFunctionNames: names } = toolConfig?.functionCallingConfig ?? {};
  const [only, ...more] = names ?? [];
  if (mode === 'NONE') return 'none';
  if (mode === 'AUTO') return 'auto';
  if (mode !== 'ANY') return undefined;
  if (only === undefined) return 'required';
  if (more.length > 0)
    untranslatable.add('toolConfig.functionCallingConfig.allowedFunctionNames', 'one name at most', names);
  return { tool: only };
}

function formatOf(
  { generationConfig: generation }: GenerateRequest,
  untranslatable: Untranslatable,
): ModelSettings['responseFormat'] | undefined {
  const kind = generation?.responseMimeType ?? 'text/plain';
  if (kind !== 'application/json' && kind !== 'text/plain')
    untranslatable.add('generationConfig.responseMimeType', 'text/plain or application/json', kind);
  if (generation === undefined || generation === null || kind !== 'application/json') return undefined;
  const { responseSchema, responseJsonSchema } = generation;
  const schema = responseJsonSchema ?? (responseSchema ? jsonSchemaOf(responseSchema) : null);
  return schema === null ? { type: 'json' } : { type: 'json-schema', name: 'answer', schema };
}

function thinkingOf(
  { generationConfig: generation }: GenerateRequest,
  untranslatable: Untranslatable,
): ModelSettings['thinking'] | undefined {
  const { thinkingBudget: budget, thinkingLevel: level } = generation?.thinkingConfig ?? {};
  // A negative budget lets the model choose how long it thinks. It counts as missing, since the gateway has no such
  // setting.
  if (typeof budget === 'number' && budget >= 0) return { budgetTokens: budget };
  if (typeof level !== 'string' || level === 'THINKING_LEVEL_UNSPECIFIED') return undefined;
  return effortOf(level.toLowerCase(), 'generationConfig.thinkingConfig.thinkingLevel', untranslatable);
}

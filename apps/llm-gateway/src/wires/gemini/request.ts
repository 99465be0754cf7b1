import type { ModelSettings } from '@coppice/contracts';
import type { ModelRequest, OriginalRequest } from '../../provider/port.ts';
import { contentsOf, signedContents } from './contents.ts';
import type { OwnContent } from './contents.ts';

/** Maps a request to the body of `generateContent`. The format has no field for `parallelToolCalls`. */
export function requestBody(request: ModelRequest): object {
  const { model, settings } = request;
  const { systemInstruction, contents } = contentsOf(request.messages, { signed: hasLevels(model) });
  // The field `parameters` isn't used, since it accepts only a subset of OpenAPI's schema.
  const declarations = request.tools.map(({ name, description, parameters }) => ({
    name,
    description,
    parametersJsonSchema: parameters,
  }));
  const generationConfig = generationConfigOf(model, settings);
  return {
    ...(systemInstruction === null ? {} : { systemInstruction }),
    contents,
    ...(declarations.length === 0
      ? {}
      : { tools: [{ functionDeclarations: declarations }], ...toolConfigOf(settings) }),
    ...(Object.keys(generationConfig).length === 0 ? {} : { generationConfig }),
  };
}

/** Implements `passOn` of the wire format. The model is in the path. */
export function passedOn({ body, maxOutputTokens }: OriginalRequest, model: string): object {
  const { contents } = body;
  const said =
    hasLevels(model) && Array.isArray(contents)
      ? { ...body, contents: signedContents(contents as OwnContent[]) }
      : body;
  const named = 'model' in body ? { ...said, model: modelPath(model) } : said;
  if (maxOutputTokens === undefined) return named;
  // Google rejects a body with both spellings of the field.
  const field = 'generation_config' in body ? 'generation_config' : 'generationConfig';
  return { ...named, [field]: { ...(body[field] as object | null | undefined), maxOutputTokens } };
}

/**
 * Returns the path `models/NAME`. A tuned model's name already contains its prefix. The name is escaped so that it
 * can't change the path.
 */
export function modelPath(model: string): string {
  const [, kind = 'models', name = model] = /^(models|tunedModels)\/(.+)$/.exec(model) ?? [];
  return `${kind}/${encodeURIComponent(name.toWellFormed())}`;
}

/**
 * Reports whether the model accepts levels of thinking, as all models from Gemini 3 on do. These models also reject
 * tool calls without signatures.
 */
function hasLevels(model: string): boolean {
  const [, generation] = /gemini-(\d+)/.exec(model) ?? [];
  return generation === undefined ? !/gemma|learnlm|tunedModels/.test(model) : Number(generation) >= 3;
}

function generationConfigOf(model: string, settings: ModelSettings): object {
  const { maxOutputTokens, temperature, topP, topK, seed, stopSequences, responseFormat, thinking } = settings;
  return {
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(seed === undefined ? {} : { seed }),
    ...(stopSequences === undefined ? {} : { stopSequences }),
    ...(responseFormat === undefined ? {} : formatOf(responseFormat)),
    ...(thinking === undefined ? {} : { thinkingConfig: thinkingOf(model, thinking) }),
  };
}

function formatOf(format: NonNullable<ModelSettings['responseFormat']>): object {
  if (format.type === 'text') return { responseMimeType: 'text/plain' };
  const responseMimeType = 'application/json';
  return format.type === 'json' ? { responseMimeType } : { responseMimeType, responseJsonSchema: format.schema };
}

type Thinking = NonNullable<ModelSettings['thinking']>;

/** Thinking tokens of each effort, for models that accept only a budget. The numbers are Google's own. */
const budgets = { none: 0, minimal: 1_024, low: 1_024, medium: 8_192, high: 24_576 } as const;
/** Minimum budget of Pro models, which can't turn thinking off. */
const proBudgetMin = 128;

function thinkingOf(model: string, thinking: Thinking): object {
  if ('budgetTokens' in thinking) {
    return { thinkingBudget: thinking.budgetTokens, includeThoughts: thinking.budgetTokens > 0 };
  }
  const { effort } = thinking;
  const includeThoughts = effort !== 'none';
  if (!hasLevels(model)) {
    const thinkingBudget = effort === 'none' && /pro/.test(model) ? proBudgetMin : budgets[effort];
    return { thinkingBudget, includeThoughts };
  }
  // These models can't turn thinking off. The larger ones have no level below `low`.
  const least = /flash/.test(model) ? 'minimal' : 'low';
  return { thinkingLevel: effort === 'none' || effort === 'minimal' ? least : effort, includeThoughts };
}

function toolConfigOf({ toolChoice }: ModelSettings): object {
  if (toolChoice === undefined) return {};
  const functionCallingConfig =
    typeof toolChoice === 'object'
      ? { mode: 'ANY', allowedFunctionNames: [toolChoice.tool] }
      : { mode: modes[toolChoice] };
  return { toolConfig: { functionCallingConfig } };
}

const modes = { auto: 'AUTO', none: 'NONE', required: 'ANY' } as const;

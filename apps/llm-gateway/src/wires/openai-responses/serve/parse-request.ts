import type { ModelSettings, ToolDefinition } from '@coppice/contracts';
import type { ProviderMessage } from '../../../provider/port.ts';
import { responseFormatOf, toolChoiceOf } from '../../openai-settings.ts';
import { largestOf } from '../../../ingress/http/answer-limits.ts';
import type { RequestParts, Question } from '../../../ingress/http/endpoint.ts';
import { readRequest } from '../../../ingress/http/read-request.ts';
import { effortOf, said } from '../../../ingress/http/settings.ts';
import { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import { customDescription, customNames, customParameters } from './custom-tools.ts';
import { ItemMapper } from './items.ts';
import { withPassedItems } from './references.ts';
import { responsesRequestSchema } from './schemas.ts';
import type { ResponsesRequest } from './schemas.ts';
import { withoutForeign } from './without-foreign.ts';
import { ResponsesAnswerWriter } from './write-answer.ts';

/** Fields that only OpenAI can handle, since they reference data that it stores or change the form of the answer. */
const ownFields = ['previous_response_id', 'conversation', 'prompt', 'top_logprobs'];
/**
 * The only value of `include` that makes a request untranslatable. The other values concern reasoning, which each wire
 * format reports in its own way, or OpenAI's own tools.
 */
const logprobs = 'message.output_text.logprobs';

/** @throws CoppiceError `invalid-request`. */
export function parseResponsesRequest(body: unknown, { headers, bytes, items = [] }: RequestParts): Question {
  const request = readRequest(responsesRequestSchema, body);
  const untranslatable = new Untranslatable();
  untranslatable.addPresent(request, ownFields);
  if (request.include?.includes(logprobs)) untranslatable.add('include', `no ${logprobs}`, request.include);
  const stream = request.stream ?? false;
  return {
    model: request.model,
    stream,
    framing: 'server-sent-events',
    request: {
      messages: messagesOf(withPassedItems(request, items), untranslatable),
      tools: toolsOf(request),
      settings: settingsOf(request, untranslatable),
      stream,
      original: { wire: 'openai-responses', body: withoutForeign(request), headers },
      bytes,
    },
    untranslatable: untranslatable.issues,
    writer: (about) => new ResponsesAnswerWriter(about, { customTools: customNames(request), request }),
  };
}

function messagesOf({ instructions, input }: ResponsesRequest, untranslatable: Untranslatable): ProviderMessage[] {
  const system: ProviderMessage[] = instructions
    ? [{ role: 'system', content: [{ type: 'text', text: instructions }] }]
    : [];
  if (input === undefined || input === null) {
    untranslatable.add('input', 'a text, or a list of items', input);
    return system;
  }
  if (typeof input === 'string') return [...system, { role: 'user', content: [{ type: 'text', text: input }] }];
  const messages = [...system, ...new ItemMapper(untranslatable).messages(input)];
  // For example, all items may belong to tools that OpenAI ran.
  if (messages.length === 0 && untranslatable.issues.length === 0)
    untranslatable.add('input', 'at least one message, or an item that stands for one', input);
  return messages;
}

/** Leaves out the tools that OpenAI runs, since other wire formats can't offer them. */
const toolsOf = ({ tools }: ResponsesRequest): ToolDefinition[] =>
  (tools ?? []).flatMap((tool) => {
    const { type, name, parameters } = tool;
    const description = tool.description ?? '';
    if (typeof name !== 'string') return [];
    if (type === 'function')
      return [
        {
          name,
          description,
          parameters: parameters ?? { type: 'object', properties: {} },
          ...said({ strict: tool.strict }),
        },
      ];
    if (type !== 'custom') return [];
    return [{ name, description: customDescription(description, tool['format']), parameters: customParameters }];
  });

function settingsOf(request: ResponsesRequest, untranslatable: Untranslatable): ModelSettings {
  const effort = request.reasoning?.effort;
  const thinking = typeof effort === 'string' ? effortOf(effort, 'reasoning.effort', untranslatable) : undefined;
  return said({
    maxOutputTokens: largestOf(request, request.max_output_tokens),
    temperature: request.temperature,
    topP: request.top_p,
    toolChoice: toolChoiceOf(request.tool_choice, functionIn, untranslatable),
    parallelToolCalls: request.parallel_tool_calls,
    responseFormat: responseFormatOf(request.text?.format, (format) => format, {
      field: 'text.format',
      untranslatable,
    }),
    thinking,
  });
}

const functionIn = ({ type, name }: { type: string; name?: unknown }): unknown =>
  /^(function|custom)$/.test(type) ? name : undefined;

import type { ModelSettings, ToolDefinition } from '@coppice/contracts';
import type { ProviderMessage } from '../../../provider/port.ts';
import type { RequestParts, Question } from '../../../ingress/http/endpoint.ts';
import { readRequest } from '../../../ingress/http/read-request.ts';
import { effortOf, said } from '../../../ingress/http/settings.ts';
import { Untranslatable } from '../../../ingress/http/untranslatable.ts';
import { BlockMapper } from './blocks.ts';
import { messagesRequestSchema } from './schemas.ts';
import type { MessagesRequest } from './schemas.ts';
import { withoutForeign } from './without-foreign.ts';
import { MessagesAnswerWriter } from './write-answer.ts';

/** Fields that change the form of the answer and have no equivalent in other wire formats. */
const ownFields = ['mcp_servers', 'container'];

/** @throws CoppiceError `invalid-request`. */
export function parseMessagesRequest(body: unknown, { headers, bytes }: RequestParts): Question {
  const request = readRequest(messagesRequestSchema, body);
  const untranslatable = new Untranslatable();
  untranslatable.addPresent(request, ownFields);
  const blocks = new BlockMapper(untranslatable);
  const system: ProviderMessage[] =
    request.system === undefined || request.system === null
      ? []
      : [{ role: 'system', content: blocks.parts(request.system, 'system') }];
  const messages = request.messages.flatMap((message, index) => blocks.messages(message, `messages.${index}`));
  const stream = request.stream ?? false;
  return {
    model: request.model,
    stream,
    framing: 'server-sent-events',
    request: {
      messages: [...system, ...messages],
      tools: toolsOf(request),
      settings: settingsOf(request, untranslatable),
      stream,
      original: { wire: 'anthropic', ...withoutForeign(request), headers },
      bytes,
    },
    untranslatable: untranslatable.issues,
    writer: (about) => new MessagesAnswerWriter(about),
  };
}

/** Leaves out the tools that Anthropic defines, since other wire formats can't offer them. */
const toolsOf = ({ tools }: MessagesRequest): ToolDefinition[] =>
  (tools ?? []).flatMap(({ type, name, description, input_schema: parameters }) =>
    (type ?? 'custom') === 'custom' && name !== undefined && parameters !== undefined
      ? [{ name, description: description ?? '', parameters }]
      : [],
  );

function settingsOf(request: MessagesRequest, untranslatable: Untranslatable): ModelSettings {
  const { tool_choice: choice, top_k: topK, stop_sequences: stops } = request;
  return said({
    // At least 1. With 0, Anthropic only fills the prompt cache and generates no output.
    maxOutputTokens: Math.max(1, request.max_tokens),
    temperature: request.temperature,
    topP: request.top_p,
    topK: topK === 0 ? undefined : topK,
    stopSequences: stops?.length === 0 ? undefined : stops,
    toolChoice: choiceOf(choice, untranslatable),
    parallelToolCalls: choice?.disable_parallel_tool_use === true ? false : undefined,
    responseFormat: formatOf(request),
    thinking: thinkingOf(request, untranslatable),
  });
}

function choiceOf(
  choice: MessagesRequest['tool_choice'],
  untranslatable: Untranslatable,
): ModelSettings['toolChoice'] | undefined {
  if (choice === undefined || choice === null) return undefined;
  if (choice.type === 'auto' || choice.type === 'none') return choice.type;
  if (choice.type === 'any') return 'required';
  if (choice.type === 'tool' && choice.name !== undefined) return { tool: choice.name };
  untranslatable.add('tool_choice', 'auto, any, none, or tool with its name', choice);
  return undefined;
}

function thinkingOf(
  { thinking, output_config: output }: MessagesRequest,
  untranslatable: Untranslatable,
): ModelSettings['thinking'] | undefined {
  if (thinking?.type === 'enabled' && thinking.budget_tokens !== undefined)
    return { budgetTokens: thinking.budget_tokens };
  if (thinking?.type === 'disabled') return { effort: 'none' };
  if (typeof output?.effort !== 'string') return undefined;
  return effortOf(output.effort, 'output_config.effort', untranslatable);
}

function formatOf({ output_config: output }: MessagesRequest): ModelSettings['responseFormat'] | undefined {
  const schema = output?.format?.['schema'];
  if (output?.format?.type !== 'json_schema' || typeof schema !== 'object' || schema === null) return undefined;
  return { type: 'json-schema', name: 'answer', schema: schema as Record<string, unknown>, strict: true };
}

/** The parts that both of OpenAI's wire formats share. */
import type { ErrorAnswer, Fields } from '../format.ts';

const kinds: Readonly<Record<number, { type: string; code: string | null }>> = {
  401: { type: 'invalid_request_error', code: 'invalid_api_key' },
  404: { type: 'invalid_request_error', code: 'model_not_found' },
  429: { type: 'requests', code: 'rate_limit_exceeded' },
};

export function openAiError(status: number, message: string): object {
  const other = { type: status < 500 ? 'invalid_request_error' : 'server_error', code: null };
  const { type, code } = kinds[status] ?? other;
  return { error: { message, type, param: null, code } };
}

const quotaText =
  'You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.';

export const openAiSpent: ErrorAnswer = {
  status: 429,
  body: { error: { message: quotaText, type: 'insufficient_quota', param: null, code: 'insufficient_quota' } },
};

export const openAiRefusedKey: ErrorAnswer = {
  status: 401,
  body: openAiError(
    401,
    'Incorrect API key provided: sk-no***-key. You can find your API key at https://platform.openai.com/account/api-keys.',
  ),
};

export const openAiOverloadText =
  'The server is currently overloaded with other requests. Sorry about that! You can retry your request, or contact us through our help center at help.openai.com if the error persists.';

export const readOpenAi = (_line: unknown, { model, stream }: Fields): { model: unknown; stream: boolean } => ({
  model,
  stream: stream === true,
});

export const openAiModels = (names: readonly string[]): object => ({
  object: 'list',
  data: names.map((id) => ({ id, object: 'model', created: 1_715_367_049, owned_by: 'system' })),
});

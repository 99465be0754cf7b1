import type { ExchangeCollaborators } from '../routing/collaborators.ts';
import { startExchange } from '../routing/exchange.ts';
import type { Call, Exchange, ExchangeResult } from '../routing/exchange.ts';
import type { ModelDelta } from '../provider/port.ts';

export type CallOptions = Partial<Omit<Call, 'model'>> & { model: string; signal?: AbortSignal };

/** Starts an exchange with a prompt of 40 bytes. */
export function startCall(collaborators: ExchangeCollaborators, { signal, model, ...call }: CallOptions): Exchange {
  return startExchange(collaborators, {
    model: collaborators.routes.resolve(model),
    request: {
      messages: [{ role: 'user', content: [{ type: 'text', text: 'x'.repeat(40) }] }],
      tools: [],
      settings: {},
    },
    context: {
      owner: { tenant: 'default', runId: 'r1', taskId: 't1' },
      effectId: 'task_t1_1_1',
      signal: signal ?? new AbortController().signal,
    },
    endsAtMs: Date.now() + 20_000,
    ...call,
  });
}

export async function read({ deltas }: Pick<Exchange, 'deltas'>): Promise<{ come: ModelDelta[]; error: unknown }> {
  const come: ModelDelta[] = [];
  try {
    for await (const together of deltas) come.push(...together);
    return { come, error: null };
  } catch (error) {
    return { come, error };
  }
}

export async function completeCall(
  collaborators: ExchangeCollaborators,
  options: CallOptions,
): Promise<{ text: string; error: unknown; result: Readonly<ExchangeResult> }> {
  const exchange = startCall(collaborators, options);
  const { come, error } = await read(exchange);
  const text = come.map((delta) => (delta.type === 'text-delta' ? delta.text : '')).join('');
  return { text, error, result: exchange.result };
}

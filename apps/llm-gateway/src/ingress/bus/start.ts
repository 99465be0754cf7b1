import { randomUUID } from 'node:crypto';
import { sharedApiEndpoint, streamedApiEndpoint } from '@coppice/bus';
import type { Answer } from '@coppice/bus';
import { CoppiceError, chatApi, chatServiceName } from '@coppice/contracts';
import type { ChatAnswer, ChatRequest } from '@coppice/contracts';
import type { Clock, ServiceContext } from '@coppice/service';
import type { Logger } from '@coppice/telemetry';
import type { Artifacts } from '../../artifacts.ts';
import type { ExchangeCollaborators } from '../../routing/collaborators.ts';
import { startExchange } from '../../routing/exchange.ts';
import type { Exchange } from '../../routing/exchange.ts';
import { budgetsOf } from '../../budget/budgets-of-account.ts';
import type { TenantLimit } from '../../budget/budgets-of-account.ts';
import type { RequestContext } from '../../provider/port.ts';
import { loggedCall } from '../call-log.ts';
import { startStream, wholeAnswer } from './answering.ts';
import { Chats } from './chats.ts';
import type { Chat } from './chats.ts';
import { busEndpointLimits } from './limits.ts';
import type { BusEndpointLimits } from './limits.ts';
import { promptRoom, questionOf } from './read-request.ts';
import type { Question, Reading } from './read-request.ts';

export type BusEndpointSettings = {
  limits?: Partial<BusEndpointLimits>;
  /** True if chats may use scripts from the configured folders as models. Default: false. */
  scripts?: boolean;
};

type EndpointCollaborators = {
  log: Pick<Logger, 'info'>;
  exchange: ExchangeCollaborators;
  artifacts: Artifacts;
  tenantLimits: readonly TenantLimit[];
  clock: Clock;
};

/** Serves `llm.chat`, `llm.keep` and `llm.cancel`, with which any bus client can call a model. */
export async function startBusEndpoint(
  { bus, version, log }: Pick<ServiceContext, 'bus' | 'version' | 'log'>,
  collaborators: Omit<EndpointCollaborators, 'log'>,
  settings: BusEndpointSettings = {},
): Promise<{ stop(): Promise<void> }> {
  const limits = { ...busEndpointLimits, ...settings.limits };
  const chats = new Chats(limits);
  bus.onLoss(() => chats.lost());
  const endpoint = new BusEndpoint({ ...collaborators, log }, chats, { limits, scripts: settings.scripts ?? false });
  const service = await bus.serve({
    name: chatServiceName,
    version,
    description: 'Models for any client of the bus',
    endpoints: [
      streamedApiEndpoint(chatApi.chat, (request, { tenant, answer }) => endpoint.chat(request, tenant, answer)),
      sharedApiEndpoint(chatApi.keep, ({ chatId }, { tenant }) =>
        chats.keep(tenant, chatId) ? { chatId } : undefined,
      ),
      sharedApiEndpoint(chatApi.cancel, ({ chatId }, { tenant }) =>
        chats.cancel(tenant, chatId) ? { chatId } : undefined,
      ),
    ],
  });
  return {
    stop: async () => {
      await Promise.all([service.stop(), chats.stop()]);
    },
  };
}

class BusEndpoint {
  readonly #with: EndpointCollaborators;
  readonly #chats: Chats;
  readonly #limits: BusEndpointLimits;
  readonly #reading: Reading;

  constructor(
    collaborators: EndpointCollaborators,
    chats: Chats,
    { limits, scripts }: { limits: BusEndpointLimits; scripts: boolean },
  ) {
    this.#with = collaborators;
    this.#chats = chats;
    this.#limits = limits;
    const { artifacts, exchange } = collaborators;
    this.#reading = { artifacts, routes: exchange.routes, limits, scripts, room: promptRoom(limits) };
  }

  /**
   * For `stream: false`, returns the complete answer. Otherwise sends the answer and returns undefined.
   * @throws CoppiceError
   */
  async chat(request: ChatRequest, tenant: string, answer: Answer): Promise<ChatAnswer | undefined> {
    const chat = this.#chats.begin(tenant, request.stream);
    try {
      return await this.#call(request, tenant, { answer, chat });
    } finally {
      chat.close();
    }
  }

  async #call(
    request: ChatRequest,
    tenant: string,
    { answer, chat }: { answer: Answer; chat: Chat },
  ): Promise<ChatAnswer | undefined> {
    const { model, stream } = request;
    const question = questionOf(request, tenant, this.#reading);
    // Isn't the chat's id, since effect ids are logged and only the client may know the chat's id.
    const effectId = `chat_${randomUUID().replaceAll('-', '')}`;
    const about = { model, effectId };
    const owner = { tenant, runId: '', taskId: '' };
    // Sends the chat's id, so that the client can keep or cancel the chat while artifacts are read.
    const sending = stream ? startStream({ answer, chat, limits: this.#limits }) : null;
    try {
      const exchange = await this.#exchange(request, question, { owner, effectId, signal: chat.signal });
      return await loggedCall(
        this.#with.log,
        { endpoint: 'bus', requestedModel: model, owner, effectId },
        exchange.result,
        async () => {
          if (sending === null) return wholeAnswer(exchange, about, answer.bytesMax);
          await sending.send(exchange, about);
          return undefined;
        },
      );
    } finally {
      sending?.end();
      question.forget();
    }
  }

  /** Reads the referenced artifacts within the chat's time limit, then starts the exchange. */
  async #exchange({ limits = {} }: ChatRequest, question: Question, context: RequestContext): Promise<Exchange> {
    const { exchange: collaborators, tenantLimits, clock } = this.#with;
    const { owner, effectId, signal } = context;
    const { model, timeLimitMs } = question;
    const endsAtMs = Date.now() + timeLimitMs;
    return startExchange(collaborators, {
      model,
      request: await inTime((until) => question.read(until), timeLimitMs, signal),
      context,
      budgets: budgetsOf({ owner, call: { id: effectId, limits } }, tenantLimits, clock.now()),
      endsAtMs,
      candidateWaitMsMax: this.#limits.candidateWaitMsMax,
      budgetWaitMsMax: this.#limits.budgetWaitMsMax,
    });
  }
}

/** @throws CoppiceError `deadline-exceeded`; the signal's reason. */
async function inTime<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
  timeLimitMs: number,
  signal: AbortSignal,
): Promise<Result> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    const text = `the artifacts that the chat references were not read within ${timeLimitMs} ms`;
    late.abort(new CoppiceError('deadline-exceeded', text));
  }, timeLimitMs);
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

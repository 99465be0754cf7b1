import { randomUUID } from 'node:crypto';
import { sharedApiEndpoint, streamedApiEndpoint } from '@coppice/bus';
import type { Answer } from '@coppice/bus';
import { chatApi, chatServiceName } from '@coppice/contracts';
import type { ChatAnswer, ChatRequest } from '@coppice/contracts';
import type { Clock, ServiceContext } from '@coppice/service';
import type { Logger } from '@coppice/telemetry';
import type { Artifacts } from '../../artifacts.ts';
import type { ExchangeCollaborators } from '../../exchange/collaborators.ts';
import { startExchange } from '../../exchange/exchange.ts';
import { budgetsOf } from '../../money/whose-budgets.ts';
import type { TenantLimit } from '../../money/whose-budgets.ts';
import { loggedCall } from '../call-log.ts';
import { tellAnswer, wholeAnswer } from './answering.ts';
import { Chats } from './chats.ts';
import type { Chat } from './chats.ts';
import { busDoorLimits } from './limits.ts';
import type { BusDoorLimits } from './limits.ts';
import { Questions } from './question.ts';

export type BusDoorSettings = {
  limits?: Partial<BusDoorLimits>;
  /** Whether a chat may name a script in the scripts' folders; default no. */
  scripts?: boolean;
};

type DoorCollaborators = {
  log: Pick<Logger, 'info'>;
  exchange: ExchangeCollaborators;
  artifacts: Artifacts;
  tenantLimits: readonly TenantLimit[];
  clock: Clock;
};

/** `llm.chat` of the public API: any client of the bus asks a model. */
export async function startBusDoor(
  { bus, version, log }: Pick<ServiceContext, 'bus' | 'version' | 'log'>,
  collaborators: Omit<DoorCollaborators, 'log'>,
  settings: BusDoorSettings = {},
): Promise<{ stop(): Promise<void> }> {
  const limits = { ...busDoorLimits, ...settings.limits };
  const chats = new Chats(limits);
  bus.onLoss(() => chats.lost());
  const door = new BusDoor({ ...collaborators, log }, chats, { limits, scripts: settings.scripts ?? false });
  const service = await bus.serve({
    name: chatServiceName,
    version,
    description: 'Models for any client of the bus',
    endpoints: [
      streamedApiEndpoint(chatApi.chat, (request, { tenant, answer }) => door.chat(request, tenant, answer)),
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

class BusDoor {
  readonly #with: DoorCollaborators;
  readonly #chats: Chats;
  readonly #limits: BusDoorLimits;
  readonly #questions: Questions;

  constructor(
    collaborators: DoorCollaborators,
    chats: Chats,
    { limits, scripts }: { limits: BusDoorLimits; scripts: boolean },
  ) {
    this.#with = collaborators;
    this.#chats = chats;
    this.#limits = limits;
    const { artifacts, exchange } = collaborators;
    this.#questions = new Questions({ artifacts, routes: exchange.routes, limits, scripts });
  }

  /** Gives the whole answer where it is wanted so; else it is told by then. @throws CoppiceError. */
  async chat(request: ChatRequest, tenant: string, answer: Answer): Promise<ChatAnswer | undefined> {
    const chat = this.#chats.begin(tenant, request.stream);
    try {
      return await this.#ask(request, tenant, { answer, chat });
    } finally {
      chat.close();
    }
  }

  async #ask(
    request: ChatRequest,
    tenant: string,
    { answer, chat }: { answer: Answer; chat: Chat },
  ): Promise<ChatAnswer | undefined> {
    const { model, stream, limits = {} } = request;
    const question = await this.#questions.read(request, tenant);
    try {
      const { exchange: collaborators, tenantLimits, clock, log } = this.#with;
      // Not the chat's own id, which is nobody's but its client's.
      const effectId = `chat_${randomUUID().replaceAll('-', '')}`;
      const owner = { tenant, runId: '', taskId: '' };
      const exchange = startExchange(collaborators, {
        model,
        request: question.request,
        context: { owner, effectId, signal: chat.signal },
        budgets: budgetsOf({ owner, call: { id: effectId, limits } }, tenantLimits, clock.now()),
        endsAtMs: Date.now() + question.timeLimitMs,
        patienceMs: this.#limits.patienceMs,
      });
      const about = { model, effectId };
      return await loggedCall(log, { door: 'bus', asked: model, owner, effectId }, exchange.result, async () => {
        if (!stream) return wholeAnswer(exchange, about, answer.bytesMax);
        await tellAnswer(exchange, about, { answer, chat, limits: this.#limits });
        return undefined;
      });
    } finally {
      question.forget();
    }
  }
}

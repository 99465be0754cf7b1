import { randomUUID } from 'node:crypto';
import { sharedApiEndpoint, streamedApiEndpoint } from '@coppice/bus';
import type { Answer } from '@coppice/bus';
import { CoppiceError, chatApi, chatServiceName } from '@coppice/contracts';
import type { ChatAnswer, ChatRequest } from '@coppice/contracts';
import type { Clock, ServiceContext } from '@coppice/service';
import type { Logger } from '@coppice/telemetry';
import type { Artifacts } from '../../artifacts.ts';
import type { ExchangeCollaborators } from '../../exchange/collaborators.ts';
import { startExchange } from '../../exchange/exchange.ts';
import type { Exchange } from '../../exchange/exchange.ts';
import { budgetsOf } from '../../money/whose-budgets.ts';
import type { TenantLimit } from '../../money/whose-budgets.ts';
import type { RequestContext } from '../../provider/port.ts';
import { loggedCall } from '../call-log.ts';
import { startTelling, wholeAnswer } from './answering.ts';
import { Chats } from './chats.ts';
import type { Chat } from './chats.ts';
import { busDoorLimits } from './limits.ts';
import type { BusDoorLimits } from './limits.ts';
import { Questions } from './question.ts';
import type { Question } from './question.ts';

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
    const { model, stream } = request;
    const question = this.#questions.take(request, tenant);
    // Not the chat's own id, which is nobody's but its client's.
    const effectId = `chat_${randomUUID().replaceAll('-', '')}`;
    const about = { model, effectId };
    const owner = { tenant, runId: '', taskId: '' };
    // Before anything is read: from then on its client can keep it, and end it.
    const telling = stream ? startTelling({ answer, chat, limits: this.#limits }) : null;
    try {
      const exchange = await this.#exchange(request, question, { owner, effectId, signal: chat.signal });
      return await loggedCall(
        this.#with.log,
        { door: 'bus', asked: model, owner, effectId },
        exchange.result,
        async () => {
          if (telling === null) return wholeAnswer(exchange, about, answer.bytesMax);
          await telling.tell(exchange, about);
          return undefined;
        },
      );
    } finally {
      telling?.end();
      question.forget();
    }
  }

  /** Begins when all that the question names is read, which takes of its time. */
  async #exchange({ model, limits = {} }: ChatRequest, question: Question, context: RequestContext): Promise<Exchange> {
    const { exchange: collaborators, tenantLimits, clock } = this.#with;
    const { owner, effectId, signal } = context;
    const { timeLimitMs } = question;
    const endsAtMs = Date.now() + timeLimitMs;
    return startExchange(collaborators, {
      model,
      request: await inTime((until) => question.read(until), timeLimitMs, signal),
      context,
      budgets: budgetsOf({ owner, call: { id: effectId, limits } }, tenantLimits, clock.now()),
      endsAtMs,
      patienceMs: this.#limits.patienceMs,
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
    const text = `what the chat names by reference was not read within ${timeLimitMs} ms`;
    late.abort(new CoppiceError('deadline-exceeded', text));
  }, timeLimitMs);
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Converts a chat's request for the exchange. An invalid request is rejected at once, before the artifacts that it references are read. Cancelling the chat
 * ends these reads.
 */
import { CoppiceError, chatLimits, tenantOfArtifact } from '@coppice/contracts';
import type { ChatRequest } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import type { Artifacts } from '../../artifacts.ts';
import { ByteBudget } from '../../byte-budget.ts';
import type { ResolvedModel, Routes } from '../../routing/routes.ts';
import { bytesOfHeap } from '../../heap.ts';
import type { ModelRequest } from '../../provider/port.ts';
import type { BusEndpointLimits } from './limits.ts';

export type Question = {
  model: ResolvedModel;
  timeLimitMs: number;
  /** @throws CoppiceError `not-found`, `limit-exceeded`, `unavailable`; the signal's reason. */
  read(signal: AbortSignal): Promise<Omit<ModelRequest, 'model'>>;
  /** Releases the prompt's bytes. */
  forget(): void;
};

/** `room`: the bytes that the prompts of all chats share. */
export type Reading = {
  artifacts: Artifacts;
  routes: Routes;
  limits: BusEndpointLimits;
  scripts: boolean;
  room: Admission;
};

export const promptRoom = ({ promptBytesMax, promptsOfHeapMax }: BusEndpointLimits): Admission =>
  new Admission({ total: bytesOfHeap(promptsOfHeapMax, promptBytesMax) });

/** @throws CoppiceError `invalid-request`, `permission-denied`, `model-not-found`, `not-found`. */
export function questionOf(request: ChatRequest, tenant: string, reading: Reading): Question {
  const { messages, tools, settings } = request;
  const { artifacts, limits, room } = reading;
  const timeLimitMs = timeLimitOf(request);
  const model = resolve(request.model, reading);
  requireOwnArtifacts(messages, tenant);
  const budget = new PromptBytes(limits.promptBytesMax, room);
  return {
    model,
    timeLimitMs,
    read: async (signal) => {
      budget.take(Buffer.byteLength(JSON.stringify(tools)));
      const owner = { tenant, taskId: '' };
      return { messages: await artifacts.read(messages, { owner, budget, signal }), tools, settings };
    },
    forget: () => room.giveBack(budget.taken),
  };
}

function resolve(model: string, { routes, scripts }: Reading): ResolvedModel {
  // Scripts are files on the gateway's machine. Only the owner of the machine may use them.
  if (model.startsWith('scripted/') && (!scripts || model.startsWith('scripted//')))
    throw refusal('permission-denied', 'model', 'a model that is not a script of this machine', model);
  return routes.resolve(model);
}

/** Budget of one prompt. Its bytes also count against `room`, which all prompts share. */
class PromptBytes extends ByteBudget {
  readonly #room: Admission;

  constructor(bytesMax: number, room: Admission) {
    super('the prompt', bytesMax);
    this.#room = room;
  }

  override tryTake(bytes: number): boolean {
    if (!super.tryTake(bytes)) return false;
    if (this.#room.tryTake(bytes)) return true;
    this.giveBack(bytes);
    throw new CoppiceError('unavailable', 'too many large chats at once');
  }
}

function timeLimitOf({ stream, timeLimitMs }: ChatRequest): number {
  if (stream) return timeLimitMs ?? chatLimits.timeLimitMsMax;
  const { wholeTimeLimitMsMax } = chatLimits;
  if (timeLimitMs !== undefined && timeLimitMs > wholeTimeLimitMsMax)
    throw refusal('invalid-request', 'timeLimitMs', `at most ${wholeTimeLimitMsMax} with stream: false`, timeLimitMs);
  return timeLimitMs ?? wholeTimeLimitMsMax;
}

/** Checks the number of artifacts, and that they belong to the tenant. An artifact of another tenant is reported as not found. */
function requireOwnArtifacts(messages: ChatRequest['messages'], tenant: string): void {
  const names = new Set<string>();
  for (const { field, name } of artifactsIn(messages, 'messages')) {
    if (tenantOfArtifact(name) !== tenant) throw refusal('not-found', field, 'the name of an artifact', name);
    if (names.add(name).size > chatLimits.artifactsMax)
      throw refusal('invalid-request', field, `no more than ${chatLimits.artifactsMax} artifacts`, name);
  }
}

function* artifactsIn(value: object, path: string): Generator<{ field: string; name: string }> {
  for (const [key, inner] of Object.entries(value) as [string, unknown][]) {
    const field = Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`;
    if (key === 'artifact' && typeof inner === 'string') yield { field, name: inner };
    else if (typeof inner === 'object' && inner !== null) yield* artifactsIn(inner, field);
  }
}

function refusal(
  code: 'invalid-request' | 'permission-denied' | 'not-found',
  field: string,
  expected: string,
  value: unknown,
): CoppiceError {
  const received = JSON.stringify(value);
  const details = { issues: [{ field, expected, received }] };
  return new CoppiceError(code, `llm.chat: ${field}: expected ${expected}, received ${received}`, { details });
}

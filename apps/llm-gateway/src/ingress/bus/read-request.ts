/**
 * Converts a chat's request to a `Question`. An invalid request is rejected before its artifacts are read. If the chat
 * is cancelled, the reads end.
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
  /** Returns the prompt's bytes to `room`. Must be called once. */
  forget(): void;
};

/** `room` is the budget in bytes that the prompts of all chats share. */
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
  // A script is a file on the gateway's machine. Chats never get one by its absolute path, so that a tenant can't make
  // the gateway read any file.
  if (model.startsWith('scripted/') && (!scripts || model.startsWith('scripted//')))
    throw refusal('permission-denied', 'model', 'a model that is not a script of this machine', model);
  return routes.resolve(model);
}

/** Budget in bytes for one prompt. The bytes are also taken from `room`. */
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

/**
 * Checks the number of artifacts. Rejects an artifact of another tenant with `not-found`, so that its existence stays
 * secret.
 */
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

/**
 * Stand-ins for the worktree service, the container service and the gateway. They answer the commands of tasks over the
 * bus. So a test runs a real orchestrator alone and decides what each command returns.
 *
 * 1. A command succeeds unless the test sets another answer. Branches are kept in memory, and a landing only moves a
 *    branch from the expected tip.
 * 2. Every command is recorded before it is answered, with its task and its pool.
 */
import { handle, joinMembers, serveCommands, serviceEndpoint } from '@coppice/bus';
import type { Bus, CommandContext } from '@coppice/bus';
import {
  anyPool,
  gatewayCalls,
  landingPool,
  modelOperations,
  sandboxOperations,
  shortHash,
  worktreeCalls,
  worktreeOperations,
} from '@coppice/contracts';
import type { Method, Operation, Owner } from '@coppice/contracts';
import type { z } from 'zod';
import { commandPassed } from './drive-task.ts';

type Prefixed<Prefix extends string, All> = { [Key in keyof All & string as `${Prefix}.${Key}`]: All[Key] };
type Operations = Prefixed<'worktree', typeof worktreeOperations> &
  Prefixed<'sandbox', typeof sandboxOperations> &
  Prefixed<'model', typeof modelOperations>;
export type OperationName = keyof Operations;
export type InputOf<Name extends OperationName> = z.output<Operations[Name]['input']>;
type OutputOf<Name extends OperationName> = z.input<Operations[Name]['output']>;
type Answers = {
  [Name in OperationName]: (input: InputOf<Name>, context: CommandContext) => OutputOf<Name> | Promise<OutputOf<Name>>;
};
type Calls = Prefixed<'worktree', typeof worktreeCalls> & Prefixed<'gateway', Pick<typeof gatewayCalls, 'checkModels'>>;
type CallAnswers = {
  [Name in keyof Calls]: (input: z.output<Calls[Name]['input']>) => z.input<Calls[Name]['output']>;
};

export type NotedCommand = { name: OperationName; pool: string; owner: Owner; input: unknown; effectId: string };

export const node = 'node1';
const mounts = [{ source: '/somewhere', target: '/workspace', readOnly: false }];
const baseTip = 'base';

export class StandIns {
  /** Commands in the order of their arrival. A redelivered command is listed twice. */
  readonly commands: NotedCommand[] = [];
  /** Tasks whose commits landed, in order. */
  readonly landed: string[] = [];
  readonly #tips = new Map<string, string>();
  readonly #stops: (() => Promise<void>)[] = [];
  #answers: Answers = this.#standard();
  #callAnswers: CallAnswers = standardCalls();

  async start(bus: Bus): Promise<this> {
    const pools = [anyPool, node, landingPool(node)];
    await this.#serve(bus, 'worktree-service', 'worktree', worktreeOperations, pools);
    await this.#serve(bus, 'container-service', 'sandbox', sandboxOperations, pools);
    await this.#serve(bus, 'llm-gateway', 'model', modelOperations, [anyPool]);
    await this.#serveCalls(bus);
    return this;
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.toReversed()) await stop();
  }

  /**
   * Sets the answer to a command. `standard` returns the default answer. With a task id, only that task's commands get
   * this answer.
   */
  on<Name extends OperationName>(
    name: Name,
    answer: (
      input: InputOf<Name>,
      standard: () => OutputOf<Name> | Promise<OutputOf<Name>>,
      context: CommandContext,
    ) => OutputOf<Name> | Promise<OutputOf<Name>>,
    taskId?: string,
  ): void {
    const before: Answers[Name] = this.#answers[name];
    const mine = ((input: InputOf<Name>, context: CommandContext) =>
      taskId !== undefined && ownerOf(input).taskId !== taskId
        ? before(input, context)
        : answer(input, () => before(input, context), context)) as Answers[Name];
    this.#answers = { ...this.#answers, [name]: mine };
  }

  onCall<Name extends keyof Calls>(name: Name, answer: CallAnswers[Name]): void {
    this.#callAnswers = { ...this.#callAnswers, [name]: answer };
  }

  /** Holds the answers to the commands of this name until `release` is called. */
  hold(name: OperationName, taskId?: string): { reached: Promise<void>; release: () => void } {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.on(
      name,
      async (_input, standard) => {
        reached.resolve();
        await released.promise;
        return standard();
      },
      taskId,
    );
    return { reached: reached.promise, release: () => released.resolve() };
  }

  reset(): void {
    this.#answers = this.#standard();
    this.#callAnswers = standardCalls();
  }

  namesOf(taskId: string): OperationName[] {
    return this.commands.filter(({ owner }) => owner.taskId === taskId).map(({ name }) => name);
  }

  inputsOf<Name extends OperationName>(taskId: string, name: Name): InputOf<Name>[] {
    return this.commands
      .filter((command) => command.owner.taskId === taskId && command.name === name)
      .map(({ input }) => input as InputOf<Name>);
  }

  async #serve(
    bus: Bus,
    service: Operation['service'],
    prefix: string,
    operations: Record<string, Operation>,
    pools: string[],
  ): Promise<void> {
    const member = await joinMembers(bus, { service, node });
    this.#stops.push(() => member.leave());
    for (const pool of pools) {
      const handlers = Object.entries(operations).map(([key, operation]) =>
        handle<unknown, unknown>(operation, (input, context) =>
          this.#answer(`${prefix}.${key}` as OperationName, pool, input, context),
        ),
      );
      const server = await serveCommands(bus, { service, pools: [pool], concurrency: 16, member, handlers });
      this.#stops.push(() => server.stop());
    }
  }

  async #answer(name: OperationName, pool: string, input: unknown, context: CommandContext): Promise<unknown> {
    this.commands.push({ name, pool, owner: ownerOf(input), input, effectId: context.effectId });
    return this.#answers[name](input as never, context);
  }

  async #serveCalls(bus: Bus): Promise<void> {
    const endpoint = (service: string, name: keyof Calls, method: Method, of?: string) =>
      serviceEndpoint<unknown, unknown>(service, method, async (input) => this.#callAnswers[name](input as never), of);
    const worktrees = Object.entries(worktreeCalls).flatMap(([key, method]) =>
      [undefined, node].map((of) => endpoint('worktree-service', `worktree.${key}` as keyof Calls, method, of)),
    );
    const models = endpoint('llm-gateway', 'gateway.checkModels', gatewayCalls.checkModels);
    for (const [name, endpoints] of [
      ['worktree-service', worktrees],
      ['llm-gateway', [models]],
    ] as const) {
      const service = await bus.serve({ name, version: '0.0.0', description: 'stand-in', endpoints: [...endpoints] });
      this.#stops.push(() => service.stop());
    }
  }

  #standard(): Answers {
    const branchOf = ({ owner }: { owner: Owner }) => `coppice/${owner.taskId}/work`;
    return {
      'worktree.resolveSetup': () => ({ baseCommit: baseTip, inputsHash: 'h', node }),
      'worktree.prepareSetup': () => ({ status: 'prepared', mounts, node }),
      'worktree.sealSetup': () => ({ files: 1 }),
      'worktree.discardSetup': () => ({}),
      'worktree.prepare': (input) => ({ node, branch: branchOf(input), baseCommit: baseTip, mounts }),
      'worktree.checkpoint': () => ({ commit: null }),
      'worktree.commit': ({ owner }) => ({
        status: 'committed',
        commit: `commit-${owner.taskId}`,
        tree: `tree-${owner.taskId}`,
        filesChanged: 1,
        paths: ['one.txt'],
        protectedPaths: [],
      }),
      'worktree.prepareMerge': (input) => this.#merge(input),
      'worktree.land': (input) => this.#land(input),
      'worktree.pushBranch': ({ branch }) => ({ branch }),
      'worktree.remove': () => ({ rescue: null }),
      'sandbox.create': ({ sandboxId }) => ({ sandboxId, engine: 'none', node }),
      'sandbox.write': () => ({ bytes: 4 }),
      'sandbox.exec': () => commandPassed,
      'sandbox.run': () => commandPassed,
      'sandbox.tools': ({ calls }) => ({
        results: calls.map(({ id, name }) => ({
          callId: id,
          name,
          content: { text: 'ok' },
          isError: false,
          logArtifact: null,
          durationMs: 1,
        })),
      }),
      'sandbox.remove': () => ({}),
      'model.turn': (_input, { effectId }) => modelAnswer(effectId),
    };
  }

  #tipOf({ repository, targetBranch }: { repository: string; targetBranch: string }): string {
    return this.#tips.get(`${repository}#${targetBranch}`) ?? baseTip;
  }

  #merge(input: InputOf<'worktree.prepareMerge'>): OutputOf<'worktree.prepareMerge'> {
    const tip = this.#tipOf(input);
    const merged = shortHash(tip, input.taskCommit);
    const tree = `tree-${merged}`;
    const { when } = input.checkout;
    const isVerified = input.checkout.when === 'tree-differs-from' && input.checkout.tree === tree;
    const checkout = when === 'never' || isVerified ? null : { mounts, setupIsCurrent: true };
    return { status: 'merged-in-store', tip, commit: `merge-${merged}`, tree, protectedPaths: [], checkout, node };
  }

  #land(input: InputOf<'worktree.land'>): OutputOf<'worktree.land'> {
    const tip = this.#tipOf(input);
    if (tip !== input.expectedTip) return { status: 'moved', tip };
    this.#tips.set(`${input.repository}#${input.targetBranch}`, input.commit);
    this.landed.push(input.owner.taskId);
    return { status: 'landed', commit: input.commit };
  }
}

export function modelAnswer(
  turnId: string,
  calls: { name: string; input: object }[] = [],
): z.input<typeof modelOperations.turn.output> {
  return {
    turnId,
    text: { text: 'good' },
    toolCalls: calls.map(({ name, input }, index) => ({
      id: `${name}-${index}`,
      name,
      arguments: { text: JSON.stringify(input) },
    })),
    finishReason: calls.length === 0 ? 'stop' : 'tool-calls',
    usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.5 },
    responseModel: 'm',
    latencyMs: 1,
  };
}

const standardCalls = (): CallAnswers => ({
  'worktree.inspect': ({ repository }) => ({ repositoryId: shortHash(repository), repository, baseCommit: baseTip }),
  'worktree.finishedLandings': ({ landings }) => ({ finished: landings.map(() => false) }),
  'worktree.diff': ({ commit }) => ({ patch: `patch of ${commit}`, truncated: false }),
  'worktree.bundle': ({ taskId }) => ({ bundle: 'bundle', ref: 'refs/x', commit: `commit-${taskId}`, work: 'landed' }),
  'gateway.checkModels': () => ({ problems: [] }),
});

function ownerOf(input: unknown): Owner {
  const { owner, specification } = input as { owner?: Owner; specification?: { owner: Owner } };
  const found = owner ?? specification?.owner;
  if (found === undefined) throw new Error('a command without an owner');
  return found;
}

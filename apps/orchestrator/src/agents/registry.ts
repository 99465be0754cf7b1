import type { Agent } from '@coppice/contracts';
import type { AgentKind } from './agent-kind.ts';
import { loop } from './loop/kind.ts';
import { prompt } from './prompt/kind.ts';

/**
 * The agent kinds. Their schemas are in `src/agents/registry.ts` of libs/contracts, since a library must not import an
 * app.
 */
export const agentKinds = { loop, prompt } satisfies Record<Agent['kind'], AgentKind>;

type Kinds = typeof agentKinds;
type Intersection<Union> = (Union extends unknown ? (each: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;

export type AgentFields = Intersection<ReturnType<Kinds[keyof Kinds]['newFields']>>;

export const newAgentFields = (agent: Agent, kinds: Record<string, AgentKind> = agentKinds): AgentFields =>
  Object.assign({}, ...Object.values(kinds).map(({ newFields }) => newFields(agent))) as AgentFields;

/** The child states of `working`. There is one for each kind, and one that chooses the kind. */
export const agentStates = (kinds: Record<string, AgentKind> = agentKinds) => ({
  choosing: {
    always: Object.keys(kinds).map((kind) => ({
      guard: ({ context }: { context: { specification: { agent: { kind: string } } } }) =>
        context.specification.agent.kind === kind,
      target: kind,
    })),
  },
  ...Object.fromEntries(Object.entries(kinds).map(([kind, { states }]) => [kind, states])),
});

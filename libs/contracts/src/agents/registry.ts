import { z } from 'zod';
import { loopAgentSchema } from './loop.ts';
import { promptAgentSchema } from './prompt.ts';

/**
 * The registry of agent kinds: what a run file says about each. How each kind works is in the orchestrator's registry, `agents/registry.ts`; a test there compares
 * the two.
 */
const agentSchemas = [promptAgentSchema, loopAgentSchema] as const;

export const agentSchema = z.discriminatedUnion('kind', agentSchemas);
export type Agent = z.infer<typeof agentSchema>;
export type AgentOf<Kind extends Agent['kind']> = Extract<Agent, { kind: Kind }>;
export const agentKindNames: readonly Agent['kind'][] = agentSchemas.map(({ shape }) => shape.kind.value);

import { z } from 'zod';
import { loopAgentSchema } from './loop.ts';
import { promptAgentSchema } from './prompt.ts';

/**
 * The agent kinds, with their fields in a run file. The orchestrator's registry, `agents/registry.ts`, has the states
 * that run each kind. A test there compares the two.
 */
export const agentSchemas = [promptAgentSchema, loopAgentSchema] as const;

type KindSchema = z.ZodObject<{ kind: z.ZodLiteral<string> }>;

export const agentSchemaOf = <Schemas extends readonly [KindSchema, ...KindSchema[]]>(schemas: Schemas) =>
  z.discriminatedUnion('kind', schemas);
export const kindNamesOf = <Kind extends string>(
  schemas: readonly { shape: { kind: z.ZodLiteral<Kind> } }[],
): readonly Kind[] => schemas.map(({ shape }) => shape.kind.value);

export const agentSchema = agentSchemaOf(agentSchemas);
export type Agent = z.infer<typeof agentSchema>;
export type AgentOf<Kind extends Agent['kind']> = Extract<Agent, { kind: Kind }>;
export const agentKindNames = kindNamesOf<Agent['kind']>(agentSchemas);

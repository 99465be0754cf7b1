import { z } from 'zod';
import { repositoryPathSchema } from './repository-path.ts';
import type { ToolDefinition } from './model-messages.ts';

/**
 * Limits of the built-in agent's tools. The tools of `sandboxToolSchemas` run in the task's sandbox. The agent itself
 * runs `todo` and `finish`.
 */
export const toolLimits = {
  callsPerTurnMax: 16,
  commandSecondsMax: 1_800,
  commandSecondsDefault: 120,
  readLinesDefault: 2_000,
  /** Maximum size of one result, as the model sees it. The whole result is in the object store. */
  resultCharactersMax: 24_000,
  resultCharactersMin: 2_000,
  /**
   * Maximum size, as JSON, of all calls of one turn that are sent by value. The results of a turn have the same
   * maximum. An actor's value contains calls and results twice.
   */
  inlineBytesMax: 32 * 1024,
  listEntriesMax: 1_000,
  searchLinesMax: 200,
  /** Maximum size of a file that a tool reads, writes or edits. */
  fileBytesMax: 1024 * 1024,
  commandCharactersMax: 32_768,
  /** Maximum size of one call's arguments as JSON, in which a character of a file may take six bytes. */
  argumentsBytesMax: 8 * 1024 * 1024,
  todoItemsMax: 50,
  summaryCharactersMax: 4_000,
} as const;

const fileLimit = `${toolLimits.fileBytesMax} bytes`;

/** Makes a path relative. Models often use absolute paths, as they see them in the sandbox. */
function relative(path: string): string {
  const inside = path.replace(/^\/workspace(\/|$)/, '').replace(/^(\.\/+)+/, '');
  const bare = inside.replace(/\/+$/, '');
  return bare === '' ? '.' : bare;
}

const path = z
  .string()
  .transform(relative)
  .pipe(repositoryPathSchema)
  .describe('Relative to the root of the repository, with forward slashes.');
const folder = z
  .string()
  .transform(relative)
  .refine((value) => value === '.' || repositoryPathSchema.safeParse(value).success, 'a path inside the repository')
  .default('.')
  .describe('Where, relative to the root of the repository; all of it when left out.');

export const sandboxToolSchemas = {
  run: z.strictObject({
    command: z
      .string()
      .min(1)
      .max(toolLimits.commandCharactersMax)
      .describe('A line for sh, run in the root of the repository.'),
    timeoutSeconds: z.int().min(1).max(toolLimits.commandSecondsMax).default(toolLimits.commandSecondsDefault),
  }),
  read: z.strictObject({
    path,
    fromLine: z.int().min(1).default(1),
    lines: z.int().min(1).max(10_000).default(toolLimits.readLinesDefault),
  }),
  write: z.strictObject({ path, content: z.string().describe('The whole new content.') }),
  edit: z.strictObject({
    path,
    oldText: z.string().min(1).describe('Exactly as it stands in the file, and only once there.'),
    newText: z.string(),
  }),
  list: z.strictObject({ path: folder, depth: z.int().min(1).max(10).default(2) }),
  search: z.strictObject({
    pattern: z.string().min(1).max(1_000).describe('An extended regular expression, as grep -E takes it.'),
    path: folder,
  }),
} as const;
export type SandboxToolName = keyof typeof sandboxToolSchemas;

export const agentToolSchemas = {
  todo: z.strictObject({
    items: z
      .array(z.strictObject({ text: z.string().min(1).max(200), done: z.boolean() }))
      .max(toolLimits.todoItemsMax),
  }),
  finish: z.strictObject({
    summary: z
      .string()
      .min(1)
      .max(toolLimits.summaryCharactersMax)
      .describe('What was changed and why, for the commit.'),
  }),
} as const;
export type AgentToolName = keyof typeof agentToolSchemas;

export const toolDescriptions: Record<SandboxToolName | AgentToolName, string> = {
  run: `Run a shell command of at most ${toolLimits.commandCharactersMax} characters. Its output is bounded: the middle of a long one is left out.`,
  read: 'Read a text file, or a range of its lines.',
  write: `Write a file of at most ${fileLimit}, replacing what is there. Folders are made.`,
  edit: `Replace a text in a file of at most ${fileLimit}. Fails when the text is not there, or there more than once: then give more of what is around it.`,
  list: 'List files and folders.',
  search: 'Search the contents of files; answers lines as path:line:text.',
  todo: `Replace your list of what is to be done, at most ${toolLimits.todoItemsMax} items. Keep it up to date on long work.`,
  finish: `End the task. Only when everything is done and checked. The summary has at most ${toolLimits.summaryCharactersMax} characters.`,
};

/**
 * Keywords that tool definitions don't contain, because servers that compile schemas into grammars fail on them. The
 * answer to an invalid call names the limit.
 */
const keywordsLeftOut = ['pattern', 'minLength', 'maxLength', 'maxItems'] as const;

export const toolDefinitions = (): ToolDefinition[] =>
  Object.entries({ ...sandboxToolSchemas, ...agentToolSchemas }).map(([name, schema]) => ({
    name,
    description: toolDescriptions[name as SandboxToolName | AgentToolName],
    parameters: parametersOf(schema),
  }));

function parametersOf(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _dialect, ...parameters } = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      for (const keyword of keywordsLeftOut) delete jsonSchema[keyword];
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return parameters;
}

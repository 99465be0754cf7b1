import { appendFile, readFile } from 'node:fs/promises';
import { z } from 'zod';

/**
 * What the scripted model was asked and what it answered, one JSON line each. A line is appended by one write, so that any number of
 * processes may share the file, and it is there before the model goes on, so that it outlives a SIGKILL.
 */
const countLineSchema = z.object({
  /** `asked`: a request came. `answered`: its answer was given out whole. */
  event: z.enum(['asked', 'answered']),
  effectId: z.string(),
  runId: z.string(),
  taskId: z.string(),
  script: z.string(),
  rule: z.string(),
  /** Of the turn within its rule, from 0. */
  position: z.int(),
  /** RFC 3339. */
  time: z.string(),
});
export type CountLine = z.output<typeof countLineSchema>;

export type Count = {
  add(line: CountLine): Promise<void>;
  /** Everything counted so far, by all processes. */
  read(): Promise<CountLine[]>;
};

export function countInFile(file: string): Count {
  return { add: (line) => appendFile(file, `${JSON.stringify(line)}\n`), read: () => readCount(file) };
}

/** Counts for this process alone; keeps the last `linesMax`. */
export function countInMemory(linesMax = 10_000): Count {
  const lines: CountLine[] = [];
  return {
    add: async (line) => {
      lines.push(line);
      if (lines.length > linesMax) lines.shift();
    },
    read: async () => [...lines],
  };
}

/** The lines of a count file; none where it isn't there yet. */
export async function readCount(file: string): Promise<CountLine[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  // What follows the last line break is nothing, or a line that is just being written.
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => countLineSchema.parse(JSON.parse(line)));
}

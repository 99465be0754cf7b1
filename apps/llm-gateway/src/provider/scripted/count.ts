import { appendFile, readFile } from 'node:fs/promises';
import { z } from 'zod';

/**
 * A line in the record of requests to the scripted model and of its answers. Each line is JSON, and is appended by a
 * single write, so that many processes can share the file. The model continues only after the write, so the line
 * survives a SIGKILL.
 */
const countLineSchema = z.object({
  /**
   * `requested` means that a request arrived. `answered` means that all of its answer except `response-end` was sent.
   */
  event: z.enum(['requested', 'answered']),
  effectId: z.string(),
  runId: z.string(),
  taskId: z.string(),
  script: z.string(),
  rule: z.string(),
  /** Index of the played turn in its rule, from 0. */
  position: z.int(),
  /** RFC 3339. */
  time: z.string(),
});
export type CountLine = z.output<typeof countLineSchema>;

export type Count = {
  add(line: CountLine): Promise<void>;
  /** Returns all lines so far, including those of other processes. */
  read(): Promise<CountLine[]>;
};

export function countInFile(file: string): Count {
  return { add: (line) => appendFile(file, `${JSON.stringify(line)}\n`), read: () => readCount(file) };
}

/** Counts only the requests of this process. */
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

/** Returns an empty list if the file doesn't exist. */
export async function readCount(file: string): Promise<CountLine[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  // After the last line break, another process may still be writing a line.
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => countLineSchema.parse(JSON.parse(line)));
}

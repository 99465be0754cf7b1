import { writeFile } from 'node:fs/promises';

/** Prints a line of a report. Lines should give ratios before absolute figures. */
export const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

export function median(values: number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Formats each step with its share of `whole`, which is the sum of all steps by default. */
export function shares(steps: Record<string, number>, whole?: number): string {
  const sum = whole ?? Object.values(steps).reduce((total, value) => total + value, 0);
  return Object.entries(steps)
    .map(([name, value]) => `${name} ${Math.round(value)} ms (${Math.round((100 * value) / sum)} %)`)
    .join(', ');
}

export async function writeResults(file: string, results: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(results, null, 2)}\n`);
}

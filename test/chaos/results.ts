/** Program of `npm run chaos-results`, which prints the tables of docs/chaos.md. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { faultKinds } from './faults.ts';
import { faultsFound } from './run.ts';
import type { ChaosResult } from './run.ts';

const folder = path.resolve(import.meta.dirname, '../../docs/chaos');

export function readResults(): { file: string; result: ChaosResult }[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  return files.toSorted().map((file) => {
    return { file, result: JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as ChaosResult };
  });
}

/** Returns a table with a row for each result, and a table with a row for each kind of fault. */
export function resultTables(results: readonly { file: string; result: ChaosResult }[]): string {
  const runs = results.map(({ file, result }) => {
    const { tasks, model, faults, options } = result;
    const ended = Object.entries(tasks.ended).map(([state, count]) => `${count} ${state}`);
    return [
      `[${options.seed}](chaos/${file})`,
      options.engine,
      `${tasks.planned} in ${options.minutes} min`,
      ended.join(', '),
      `${faults.filter(({ kind, struck }) => struck && kind !== 'none').length}`,
      `${faultsFound(result).length}`,
      `${model.sent}`,
      `${model.unknown}`,
    ];
  });
  const kinds = faultKinds.map((kind) => {
    const figures = results.map(({ result }) => result.recovery[kind]).filter(({ faults }) => faults > 0);
    const seconds = (times: (number | null)[]) => {
      const known = times.filter((time) => time !== null).map((time) => time / 1_000);
      return known.length === 0 ? '' : `${Math.min(...known).toFixed(1)} to ${Math.max(...known).toFixed(1)} s`;
    };
    return [
      `\`${kind}\``,
      `${figures.reduce((sum, { faults }) => sum + faults, 0)}`,
      seconds(figures.map(({ p50Ms }) => p50Ms)),
      seconds(figures.map(({ p99Ms }) => p99Ms)),
    ];
  });
  const headings = ['seed', 'engine', 'tasks', 'ended as', 'faults', 'must be 0', 'model calls', 'unknown outcome'];
  const kindHeadings = ['kind', 'faults', 'p50 of the time to the next step', 'p99 of the time to the next step'];
  return `${table(headings, runs)}\n\n${table(kindHeadings, kinds)}`;
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(headings), line(headings.map(() => '---')), ...rows.map(line)].join('\n');
}

if (import.meta.main) process.stdout.write(`${resultTables(readResults())}\n`);

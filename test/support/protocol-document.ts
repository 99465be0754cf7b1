import { readFileSync } from 'node:fs';
import path from 'node:path';

export const projectFolder = path.resolve(import.meta.dirname, '../..');
export const text = readFileSync(path.join(projectFolder, 'docs/protocol.md'), 'utf8');

type Block = { label: string; content: string };
export const blocks: Block[] = [...text.matchAll(/^```(\w+)(?: ([^\n]+))?\n(.*?)^```$/gms)].map(
  ([, language, label, content]) => ({
    label: label ?? language ?? '',
    content: content ?? '',
  }),
);
export const example = (label: string): unknown[] =>
  blocks.filter((block) => block.label === label).map(({ content }) => JSON.parse(content));

/** Returns the rows of the table whose head starts with this cell. Removes the backticks around a cell's text. */
export function table(head: string): string[][] {
  const after = text.split(`\n| ${head} |`)[1];
  if (after === undefined) throw new Error(`no table that begins with ${head}`);
  const rows = (after.split('\n\n')[0] ?? '').split('\n').slice(2);
  return rows.map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')),
  );
}

/** The README's files and commands. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export const projectFolder = path.resolve(import.meta.dirname, '../..');
const readme = readFileSync(path.join(projectFolder, 'README.md'), 'utf8');

/** The fenced blocks of a language between a heading and the next one. */
export function readmeBlocks(language: string, heading: string): string[] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, name, text]) =>
    name === language && text !== undefined ? [text] : [],
  );
}

/** The name of a file whose first line is a comment with it, such as `# plan.yaml`. */
export const fileNameOf = (block: string): string => block.slice(2).split('\n')[0] ?? '';

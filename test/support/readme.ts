import { readFileSync } from 'node:fs';
import path from 'node:path';

export const projectFolder = path.resolve(import.meta.dirname, '../..');
const readme = readFileSync(path.join(projectFolder, 'README.md'), 'utf8');

/** Returns the code blocks of a language in the section with this heading. */
export function readmeBlocks(language: string, heading: string): string[] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, name, text]) =>
    name === language && text !== undefined ? [text] : [],
  );
}

/** Returns the file name in a block's first line, which is a comment such as `# plan.yaml`. */
export const fileNameOf = (block: string): string => block.slice(2).split('\n')[0] ?? '';

import { readdirSync, readFileSync } from 'node:fs';

/** Other processes than this one whose environment or command line holds the text. */
export function processesWith(text: string): { pid: number; commandLine: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    const commandLine = read(`/proc/${name}/cmdline`);
    const isFound = commandLine.includes(text) || read(`/proc/${name}/environ`).includes(text);
    return isFound ? [{ pid: Number(name), commandLine: commandLine.replaceAll('\0', ' ') }] : [];
  });
}

/** Empty for one that has ended. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

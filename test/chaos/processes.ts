import { readdirSync, readFileSync } from 'node:fs';

/** Returns all other processes whose environment or command line contains the text. */
export function processesWith(text: string): { pid: number; commandLine: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    const commandLine = read(`/proc/${name}/cmdline`);
    const isFound = commandLine.includes(text) || read(`/proc/${name}/environ`).includes(text);
    return isFound ? [{ pid: Number(name), commandLine: commandLine.replaceAll('\0', ' ') }] : [];
  });
}

/** Returns '' if the process has ended. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

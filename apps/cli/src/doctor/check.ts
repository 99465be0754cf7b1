/** One thing that was looked at. */
export type Check = {
  name: string;
  level: 'ok' | 'warning' | 'fault';
  /** What was found, in one sentence. */
  found: string;
  /** What mends it; null where nothing has to be. */
  fix: string | null;
};

/** What mends a stack that has read something else than what is there now. */
export const restart = 'a stack reads keys, addresses and its file only when it starts: coppice down, coppice up';

export const ok = (name: string, found: string): Check => ({ name, level: 'ok', found, fix: null });
export const warning = (name: string, found: string, fix: string): Check => ({ name, level: 'warning', found, fix });
export const fault = (name: string, found: string, fix: string): Check => ({ name, level: 'fault', found, fix });

/** Whether a version such as `2.38.1` is at least another; false for what isn't one. */
export function isAtLeast(version: string, least: string): boolean {
  const parts = (text: string) => text.split(/[.-]/).map(Number);
  const have = parts(version);
  for (const [index, want] of parts(least).entries()) {
    const part = have[index] ?? 0;
    if (Number.isNaN(part) || part < want) return false;
    if (part > want) return true;
  }
  return true;
}

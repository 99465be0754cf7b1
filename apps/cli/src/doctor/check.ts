/** The result of one check. */
export type Check = {
  name: string;
  level: 'ok' | 'warning' | 'fault';
  /** The finding, in one sentence. */
  found: string;
  /** Advice on how to fix the problem; null if there is no problem. */
  fix: string | null;
};

/** The fix for a stack whose environment or file has changed since it started. */
export const restart = 'a stack reads keys, addresses and its file only when it starts: coppice down, coppice up';

export const ok = (name: string, found: string): Check => ({ name, level: 'ok', found, fix: null });
export const warning = (name: string, found: string, fix: string): Check => ({ name, level: 'warning', found, fix });
export const fault = (name: string, found: string, fix: string): Check => ({ name, level: 'fault', found, fix });

export type Check = {
  name: string;
  level: 'ok' | 'warning' | 'fault';
  /** The finding, in one sentence. */
  found: string;
  /** Advice for the user; null if none is needed. */
  fix: string | null;
};

/** The fix if the stack's environment or the gateway's file has changed since the stack started. */
export const restart = 'a stack reads keys, addresses and its file only when it starts: coppice down, coppice up';

export const ok = (name: string, found: string): Check => ({ name, level: 'ok', found, fix: null });
export const warning = (name: string, found: string, fix: string): Check => ({ name, level: 'warning', found, fix });
export const fault = (name: string, found: string, fix: string): Check => ({ name, level: 'fault', found, fix });

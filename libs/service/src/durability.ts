import { z } from 'zod';

/**
 * Durability of acknowledged writes. Settings of the NATS server decide it. Only the server's monitoring address (/jsz)
 * returns them.
 */
export type Durability = {
  /** Milliseconds between two syncs of the store to the disk; `always` if each write is synced; null if unknown. */
  syncIntervalMs: number | 'always' | null;
  replicas: number;
  /** Sentence for an operator that says which failures lose acknowledged writes. */
  promise: string;
};

const requestMsMax = 2_000;
const nanosecondsPerMillisecond = 1_000_000;

/** The fields of /jsz that this file uses. `sync_interval` is in nanoseconds. */
const jszSchema = z.object({
  config: z.object({ sync_interval: z.number().optional(), sync_always: z.boolean().optional() }),
});

/** Reads the settings from `monitoringUrl`. Never throws. If the server doesn't answer, the settings are unknown. */
export async function askDurability(monitoringUrl: string | undefined, replicas: number): Promise<Durability> {
  if (monitoringUrl === undefined) return describe(null, replicas, 'NATS_MONITORING_URL is not set');
  try {
    const response = await fetch(new URL('/jsz', monitoringUrl), { signal: AbortSignal.timeout(requestMsMax) });
    const { config } = jszSchema.parse(await response.json());
    if (config.sync_always === true) return describe('always', replicas);
    if (config.sync_interval === undefined) return describe(null, replicas, `${monitoringUrl} does not report it`);
    return describe(Math.round(config.sync_interval / nanosecondsPerMillisecond), replicas);
  } catch {
    return describe(null, replicas, `${monitoringUrl} does not answer`);
  }
}

function describe(syncIntervalMs: Durability['syncIntervalMs'], replicas: number, whyUnknown = ''): Durability {
  const killed = 'the end of the server process loses nothing that was acknowledged';
  const copies = replicas === 1 ? 'one copy' : `${replicas} copies`;
  const power =
    syncIntervalMs === 'always'
      ? 'nor does a power cut (sync_interval: always)'
      : syncIntervalMs === null
        ? `what a power cut loses is not known (${whyUnknown}; by default the last two minutes)`
        : `a power cut of ${replicas === 1 ? 'its host' : 'all hosts at once'} may lose the last ${syncIntervalMs / 1_000} s (sync_interval)`;
  return { syncIntervalMs, replicas, promise: `with ${copies}, ${killed}; ${power}` };
}

import type { Bus } from '@coppice/bus';

/** The public API as one tenant. */
export type ApiClient = { bus: Bus; tenant: string };

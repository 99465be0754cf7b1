/** Exit codes of a service's process. Numbers above 1 are those of sysexits.h. */
export const exitCodes = {
  stopped: 0,
  /** A defect, or a connection that was lost permanently. A restart may help. */
  failed: 1,
  /** No NATS server answered in time. A later start may succeed. */
  unavailable: 69,
  /** A restart can't help before the configuration or the NATS server is changed. */
  misconfigured: 78,
} as const;

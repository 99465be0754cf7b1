/** Exit codes of a service's process. The numbers above 1 have the meanings that sysexits.h defines. */
export const exitCodes = {
  stopped: 0,
  /** A defect, or a connection that was lost permanently. A restart may help. */
  failed: 1,
  /** No NATS server answered in time. A later start may succeed. */
  unavailable: 69,
  /** A restart can't help until the configuration or the NATS server is changed. */
  misconfigured: 78,
} as const;

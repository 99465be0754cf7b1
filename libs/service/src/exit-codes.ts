/** Exit codes of a service's process. Numbers above 1 are from sysexits.h. */
export const exitCodes = {
  stopped: 0,
  /** A defect, or a permanently lost connection. A restart may help. */
  failed: 1,
  /** No NATS server answered in time. A later start may succeed. */
  unavailable: 69,
  /** The configuration or the NATS server must be changed. Until then, a restart can't help. */
  misconfigured: 78,
} as const;

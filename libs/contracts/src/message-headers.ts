/** Reply headers of the NATS services protocol. Each value is one line. */
export const messageHeaders = {
  /** The error code of a reply with the body `{"error": {code, message, retryable, details?}}`. */
  errorCode: 'Nats-Service-Error-Code',
  errorText: 'Nats-Service-Error',
} as const;

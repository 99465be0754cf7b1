/** Headers of a reply, by the NATS services protocol. Values are one line each. */
export const messageHeaders = {
  /** In a reply that is an error; its value is the code. The body is then `{"error": {code, message, retryable, details?}}`. */
  errorCode: 'Nats-Service-Error-Code',
  errorText: 'Nats-Service-Error',
} as const;

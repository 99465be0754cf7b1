import pino from 'pino';
import { redact, secretFields } from './redaction.ts';
import { activeTraceIds } from './trace.ts';

export type Logger = pino.Logger;
export type LogLevel = (typeof logLevels)[number];
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogDestination = { write(line: string): void };

const defaultLevel = 'info' satisfies LogLevel;

function levelOf(environment: NodeJS.ProcessEnv): LogLevel {
  const level = environment['COPPICE_LOG_LEVEL']?.toLowerCase();
  return logLevels.find((known) => known === level) ?? defaultLevel;
}

/**
 * Creates a logger that writes JSON lines to stderr. Each line has the active span's `trace_id` and `span_id`. Text
 * that looks like a secret is replaced by `[redacted]`. COPPICE_LOG_LEVEL sets the level. Default: info.
 */
export function createLogger(
  name: string,
  settings: { level?: LogLevel; destination?: LogDestination; environment?: NodeJS.ProcessEnv } = {},
): Logger {
  return pino(
    {
      name,
      level: settings.level ?? levelOf(settings.environment ?? process.env),
      mixin: () => activeTraceIds() ?? {},
      serializers: { err: errorFields },
      redact: { paths: secretFields, censor: '[redacted]' },
      hooks: { streamWrite: redact },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    settings.destination ?? standardError(),
  );
}

/**
 * Returns the logged fields of an error. An expected error has `code` and `retryable`, and is logged without its stack.
 * Any other error is a defect and is logged with its stack.
 */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const foreseen = 'code' in error && 'retryable' in error;
  if (!foreseen) return pino.stdSerializers.err(error);
  const { name, message, code, retryable } = error;
  return { type: name, code, message, retryable, ...('details' in error ? { details: error.details } : {}) };
}

let shared: LogDestination | null = null;

/**
 * Returns the destination that all loggers of the process share. Writes are synchronous, so that a crash loses no
 * lines.
 */
function standardError(): LogDestination {
  shared ??= pino.destination({ dest: 2, sync: true });
  return shared;
}

/**
 * Runs a service as a process. Only main.ts files use it.
 *
 * Invariants:
 * 1. After SIGTERM or SIGINT, the process stops its work and exits with 0. After a second signal, it exits immediately
 *    with 128 plus the signal's number.
 * 2. After an uncaught error, the process exits immediately with 1, since its state may be inconsistent. Other
 *    processes take over its work.
 * 3. `/readyz` reports "not ready" before the work is stopped.
 */
import { constants } from 'node:os';
import { createLogger, startTelemetry } from '@coppice/telemetry';
import type { Logger, MetricsHandler } from '@coppice/telemetry';
import { z } from 'zod';
import { connectionFrom } from './bus-connection.ts';
import { commonVariables, readConfiguration } from './configuration.ts';
import type { CommonConfiguration } from './configuration.ts';
import { ConfigurationError, exitCodeFor } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { startHealthServer } from './health.ts';
import { startService } from './start-service.ts';
import type { RunningWork, ServiceContext, StartedService } from './start-service.ts';

export type ServiceDefinition<Variables extends z.ZodRawShape> = {
  name: string;
  version: string;
  /** Schema of the service's environment variables, in addition to the common ones. */
  variables: Variables;
  /** See `ServiceSettings`. Default: false. */
  makesResources?: boolean;
  start(
    context: ServiceContext,
    configuration: z.output<z.ZodObject<Variables>> & CommonConfiguration,
  ): Promise<RunningWork>;
};

/**
 * Time limit in milliseconds for the NATS server's answer to a readiness check. Long, since an answer may take seconds
 * on a busy machine.
 */
const readinessMsMax = 5_000;

/** Runs the service until the process gets a signal or the service fails. Then ends the process. */
export async function runService<Variables extends z.ZodRawShape>(
  definition: ServiceDefinition<Variables>,
): Promise<void> {
  const log = createLogger(definition.name);
  exitOnDefects(log);
  const stopping = stopOnSignals(log);
  let code: number = exitCodes.stopped;
  let flush = async (): Promise<void> => {};
  try {
    const configuration = readConfiguration(z.object({ ...commonVariables, ...definition.variables })) as z.output<
      z.ZodObject<Variables>
    > &
      CommonConfiguration;
    const telemetry = await startTelemetry({
      serviceName: definition.name,
      instanceId: `${configuration.COPPICE_NODE}-${process.pid}`,
      version: definition.version,
      prometheus: configuration.COPPICE_HEALTH_PORT !== undefined,
    });
    flush = telemetry.shutdown;
    code = await serveUntilStopped(definition, configuration, { stopping, log, metrics: telemetry.metricsHandler });
  } catch (error) {
    if (!stopping.aborted) {
      code = exitCodeFor(error);
      logWhyNotStarted(error, log);
    }
  }
  await flush();
  process.exit(code);
}

async function serveUntilStopped<Variables extends z.ZodRawShape>(
  definition: ServiceDefinition<Variables>,
  configuration: z.output<z.ZodObject<Variables>> & CommonConfiguration,
  { stopping, log, metrics }: { stopping: AbortSignal; log: Logger; metrics: MetricsHandler | null },
): Promise<number> {
  let service: StartedService | null = null;
  const common: CommonConfiguration = configuration;
  const health =
    common.COPPICE_HEALTH_PORT === undefined
      ? null
      : await startHealthServer(
          { host: common.COPPICE_HEALTH_HOST, port: common.COPPICE_HEALTH_PORT },
          { whyNotReady: () => whyNotReady(service, stopping), metrics },
        );
  if (health !== null) log.info({ port: health.port }, 'health endpoint');
  try {
    service = await startService({
      name: definition.name,
      version: definition.version,
      node: common.COPPICE_NODE,
      connection: { ...connectionFrom(common), lostAfterMs: common.COPPICE_LOST_AFTER_MS },
      makesResources: definition.makesResources ?? false,
      replicas: common.COPPICE_REPLICAS,
      startWaitMs: common.COPPICE_START_WAIT_MS,
      ...(common.NATS_MONITORING_URL === undefined ? {} : { monitoringUrl: common.NATS_MONITORING_URL }),
      signal: stopping,
      start: (context) => definition.start(context, configuration),
    });
    const lost = await Promise.race([service.lost, whenAborted(stopping)]);
    if (lost !== null) log.fatal({ err: lost }, 'the connection to NATS is lost');
    await service.stop();
    if (lost === null) log.info('stopped');
    return lost === null ? exitCodes.stopped : exitCodes.failed;
  } finally {
    await health?.close();
  }
}

const whenAborted = (signal: AbortSignal): Promise<null> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener('abort', () => resolve(null), { once: true });
  });

async function whyNotReady(service: StartedService | null, stopping: AbortSignal): Promise<string | null> {
  if (stopping.aborted) return 'stopping';
  if (service === null) return 'starting';
  const { promise: tooLong, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve(`NATS did not answer within ${readinessMsMax} ms`), readinessMsMax);
  try {
    return await Promise.race([service.bus.flush().then(() => null), tooLong]);
  } finally {
    clearTimeout(timer);
  }
}

function stopOnSignals(log: Logger): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) {
        log.warn({ signal }, 'exiting at once');
        process.exit(128 + constants.signals[signal]);
      }
      log.info({ signal }, 'stopping');
      stopping.abort(new Error(`stopped by ${signal}`));
    });
  }
  return stopping.signal;
}

function exitOnDefects(log: Logger): void {
  const fail = (error: unknown): void => {
    log.fatal({ err: error }, 'uncaught error');
    process.exit(exitCodes.failed);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
}

function logWhyNotStarted(error: unknown, log: Logger): void {
  if (error instanceof ConfigurationError) log.fatal({ issues: error.issues }, `wrong configuration: ${error.message}`);
  else log.fatal({ err: error }, error instanceof Error ? error.message : String(error));
}

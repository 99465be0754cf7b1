import { CoppiceError, api } from '@coppice/contracts';
import type { ApiClient } from '../api-client.ts';
import { connectTo, disconnect, remoteFrom, tenantFor } from '../stack/connect.ts';
import { readConnection } from '../stack/credentials.ts';
import type { Home } from '../stack/home.ts';
import { readStatus } from '../stack/status.ts';
import type { StackStatus } from '../stack/status.ts';
import { fault, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const answerMsMax = 15_000;
const busy = 'the stack may be busy or stopping: run coppice doctor again, and if that does not help';
const name = 'stack';

export type FoundStack = { check: Check; client: ApiClient | null };

/**
 * Checks that a stack runs and answers. The caller must close the client's bus.
 * @param running status of the local stack; null if none runs
 */
export async function findStack(
  environment: NodeJS.ProcessEnv,
  tenant: string | undefined,
  home: Home,
  running: StackStatus | null,
): Promise<FoundStack> {
  const remote = remoteFrom(environment);
  if (remote !== null) {
    const fix =
      'see what NATS_URL and NATS_CREDENTIALS_FILE (or NATS_USER and NATS_PASSWORD) say, and whether the services run there';
    return ask(remote, tenant, `the one at ${remote.servers}`, fix);
  }
  if (running === null) return { check: notRunning(home), client: null };
  if (running.phase !== 'ready') return { check: ok(name, `is ${running.phase}`), client: null };
  const connection = readConnection(home);
  const what = `runs in ${home.root} (process ${running.process.pid})`;
  const fix = `coppice down, coppice up; its log is ${home.logFile}`;
  if (connection === null) return { check: fault(name, `${what} without connection file`, fix), client: null };
  return ask(connection, tenant, what, fix);
}

async function ask(
  connection: Parameters<typeof connectTo>[0],
  tenant: string | undefined,
  what: string,
  fix: string,
): Promise<FoundStack> {
  try {
    const bus = await connectTo(connection, 'the stack', { waitMsMax: 0 });
    const client = { bus, tenant: tenantFor(tenant, connection) };
    try {
      await bus.call(api.runList, client, { limit: 1 }, { deadlineMs: answerMsMax });
      return { check: ok(name, `${what}, and answers`), client };
    } catch (error) {
      await disconnect(bus);
      throw error;
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (error instanceof CoppiceError && error.code === 'deadline-exceeded') {
      const found = `${what}; whether it answers is unknown: no answer within ${answerMsMax / 1_000} s`;
      return { check: warning(name, found, `${busy}, ${fix}`), client: null };
    }
    return { check: fault(name, `${what}, but doesn't answer: ${why}`, fix), client: null };
  }
}

function notRunning(home: Home): Check {
  const left = readStatus(home);
  if (left?.phase === 'failed')
    return warning(
      name,
      `none runs; the last start failed: ${left.failure ?? 'for no known reason'}`,
      `see ${home.logFile}, then coppice up`,
    );
  if (left !== null)
    return warning(
      name,
      `none runs; the last one in ${home.root} was killed`,
      'coppice up goes on with its runs; coppice down ends what it left running',
    );
  return ok(name, `none runs in ${home.root}; the first coppice run starts one`);
}

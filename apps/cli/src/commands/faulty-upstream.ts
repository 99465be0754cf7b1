/** `coppice faulty-upstream`: runs a model server with the chosen faults, for tests of a gateway and its agents. */
import { CoppiceError } from '@coppice/contracts';
import type { FaultyRequest } from '@coppice/faulty-upstream';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { plainLine } from '../output/text.ts';
import type { CommandResult, Session } from './session.ts';

export type FaultyUpstreamOptions = { host: string; port: number; fault?: string; every: number; list: boolean };

export async function faultyUpstreamCommand(session: Session, options: FaultyUpstreamOptions): CommandResult {
  const { terminal, interrupted } = session;
  const { faultsHelp, startFaultyUpstream } = await import('@coppice/faulty-upstream');
  if (options.list) {
    terminal.out(faultsHelp());
    return exitCodes.done;
  }
  const onRequest = (request: FaultyRequest) => {
    const { wire, model, stream, scenario, ended } = request;
    const description = `${wire} ${model}${stream ? '' : ' (no stream)'}: ${scenario.fault}`;
    void ended.then((how) => terminal.out(plainLine(`${description}, ${endTexts[how]}`)));
  };
  const { list: _list, ...settings } = options;
  const upstream = await startFaultyUpstream({ ...settings, onRequest }).catch((error: unknown) => {
    throw startFailure(error, options);
  });
  terminal.err(
    `${upstream.url} (every wire format below it; OpenAI's at /v1); ${upstream.tlsUrl} fails each TLS handshake`,
  );
  await stopped(interrupted);
  await upstream.close();
  return exitCodes.done;
}

const endTexts = { whole: 'sent to its end', cut: 'cut', left: 'the client left' } as const;

function startFailure(error: unknown, { host, port, fault }: FaultyUpstreamOptions): unknown {
  if (error instanceof CoppiceError)
    return new CliError(exitCodes.badInput, `--fault ${fault}: ${error.message}`, { cause: error });
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (!/^E(ADDR|ACCES)/.test(code)) return error;
  return new CliError(exitCodes.badInput, `can't listen on ${host}:${port} (${code})`, { cause: error });
}

function stopped(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once('SIGTERM', () => resolve());
  if (signal.aborted) resolve();
  signal.addEventListener('abort', () => resolve(), { once: true });
  return promise;
}

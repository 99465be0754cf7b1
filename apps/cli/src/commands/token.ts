/** `coppice token`: makes a token with which another program can use the gateway's HTTP endpoints. */
import { CoppiceError, durationMs, durationSchema, gatewayCalls, tokenTtlMsMax } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import type { ApiClient } from '../api-client.ts';
import { ask } from '../ask.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { resolveTarget } from '../ids.ts';
import { jsonLine, plainLine } from '../output/text.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

export type TokenOptions = { ttl: string; model?: string[]; tokens?: number; costUsd?: number; json: boolean };

/**
 * @param id task or run whose budgets are charged for calls with the token; if undefined, the calls belong to no task
 * or run
 */
export function tokenCommand(session: Session, id: string | undefined, options: TokenOptions): CommandResult {
  const ttlMs = lifeOf(options.ttl);
  return withClient(session, async (client) => {
    const grant = { tenant: client.tenant, ...(await ownerOf(client, id)), ...restrictionsOf(options) };
    await warnOfModels(session, client, grant.models ?? []);
    const minted = await ask(client, gatewayCalls.mintToken, { grant, ttlMs }, { service: 'llm-gateway' });
    if (options.json) {
      session.terminal.out(jsonLine(minted));
      return exitCodes.done;
    }
    // Only the token goes to stdout, for scripts.
    session.terminal.out(minted.token);
    const where =
      minted.addresses.length === 0 ? 'its HTTP endpoints are off: set COPPICE_GATEWAY_HTTP' : minted.addresses;
    session.terminal.err(plainLine(`until ${minted.expiresAt}; the gateway: ${[where].flat().join(', ')}`));
    return exitCodes.done;
  });
}

/** Warns about unknown models. An unknown model is no error, since the gateway's configuration may be changed later. */
async function warnOfModels(session: Session, client: ApiClient, models: string[]): Promise<void> {
  if (models.length === 0) return;
  try {
    const { problems } = await ask(
      client,
      gatewayCalls.checkModels,
      { models },
      { service: 'llm-gateway', waitMsMax: 0 },
    );
    for (const { problem } of problems) session.terminal.err(plainLine(`warning: ${problem}`));
  } catch (error) {
    // Ignored, since the request for the token then fails as well.
    if (!(error instanceof CoppiceError || error instanceof CliError)) throw error;
  }
}

function lifeOf(ttl: string): number {
  const ms = durationSchema.safeParse(ttl).success ? durationMs(ttl) : Number.NaN;
  if (ms >= 1_000 && ms <= tokenTtlMsMax) return ms;
  throw new CliError(
    exitCodes.badInput,
    `--ttl: expected a duration from 1s to ${tokenTtlMsMax / 3_600_000}h, got ${ttl}`,
  );
}

async function ownerOf(client: ApiClient, id: string | undefined): Promise<Pick<TokenGrant, 'runId' | 'taskId'>> {
  if (id === undefined) return { runId: '', taskId: '' };
  const target = await resolveTarget(client, id);
  return { runId: target.runId, taskId: target.kind === 'task' ? target.taskId : '' };
}

function restrictionsOf({ model, tokens, costUsd }: TokenOptions): Pick<TokenGrant, 'models' | 'limits'> {
  const limits = { ...(tokens === undefined ? {} : { tokens }), ...(costUsd === undefined ? {} : { costUsd }) };
  return {
    ...(model === undefined ? {} : { models: model }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  };
}

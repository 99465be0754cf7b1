import type { Check } from '../doctor/check.ts';
import { checkDiskUsage } from '../doctor/disk-usage.ts';
import { checkDisk, checkGit, checkNatsServer, checkNode } from '../doctor/machine.ts';
import { checkProviders } from '../doctor/providers.ts';
import { checkSandboxes } from '../doctor/sandbox.ts';
import { findStack } from '../doctor/stack.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Colours } from '../output/colours.ts';
import { jsonLine, plainLine } from '../output/text.ts';
import { padEnd } from '../output/width.ts';
import { disconnect, remoteFrom } from '../stack/connect.ts';
import { homeFrom } from '../stack/home.ts';
import { imagesFolder } from '../stack/programs.ts';
import { runningStack } from '../stack/status.ts';
import type { CommandResult, Session } from './session.ts';

/** `coppice doctor`: checks the machine and the stack. Changes nothing. */
export async function doctorCommand(session: Session, options: { json: boolean }): CommandResult {
  const { terminal } = session;
  const checks: Check[] = [];
  for await (const check of examine(session)) {
    checks.push(check);
    for (const line of options.json ? [jsonLine(check)] : checkLines(check, terminal.colours)) terminal.out(line);
  }
  const faults = checks.filter(({ level }) => level === 'fault').length;
  const warnings = checks.filter(({ level }) => level === 'warning').length;
  const counted = [countText(faults, 'fault'), countText(warnings, 'warning')].filter((text) => text !== '');
  if (!options.json) terminal.out(counted.length === 0 ? 'all is well' : counted.join(', '));
  return faults === 0 ? exitCodes.done : exitCodes.stackUnavailable;
}

async function* examine({ environment, tenant, terminal }: Session): AsyncIterable<Check> {
  const home = homeFrom(environment);
  const isRemote = remoteFrom(environment) !== null;
  const running = isRemote ? null : runningStack(home);
  yield checkNode();
  yield await checkGit(process.cwd());
  if (!isRemote) {
    yield await checkNatsServer(environment);
    yield checkDisk(home);
    yield await checkDiskUsage(home);
    if (running === null) terminal.err(terminal.colours.dim('trying which sandbox engine works here …'));
    yield await checkSandboxes(running, imagesFolder(environment, home));
  }
  const { check, client } = await findStack(environment, tenant, home, running);
  yield check;
  // Only a remote stack itself can report its models.
  if (isRemote && client === null) return;
  try {
    yield* await checkProviders(client, environment);
  } finally {
    if (client !== null) await disconnect(client.bus);
  }
}

const countText = (count: number, what: string): string =>
  count === 0 ? '' : `${count} ${what}${count === 1 ? '' : 's'}`;

const nameColumns = 24;
const looks = {
  ok: { symbol: '✔', colour: 'green' },
  warning: { symbol: '!', colour: 'yellow' },
  fault: { symbol: '✘', colour: 'red' },
} as const;

function checkLines({ name, level, found, fix }: Check, colours: Colours): string[] {
  const { symbol, colour } = looks[level];
  const lines = [`${colours[colour](`${symbol} ${padEnd(plainLine(name), nameColumns)}`)}  ${plainLine(found)}`];
  if (fix !== null) lines.push(`    ${colours.bold(plainLine(level === 'ok' ? fix : `fix: ${fix}`))}`);
  return lines;
}

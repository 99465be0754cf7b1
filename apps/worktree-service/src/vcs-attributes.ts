import { annotateSpan, attributes } from '@coppice/telemetry';
import type { CommandHandler } from '@coppice/bus';

/** Which fields of inputs and outputs say what the conventions for version control have a name for. */
const fields: readonly (readonly [field: string, attribute: string])[] = [
  ['baseBranch', attributes.vcsRefBaseName],
  ['targetBranch', attributes.vcsRefBaseName],
  ['baseCommit', attributes.vcsRefBaseRevision],
  ['expectedTip', attributes.vcsRefBaseRevision],
  ['tip', attributes.vcsRefBaseRevision],
  ['branch', attributes.vcsRefHeadName],
  ['taskCommit', attributes.vcsRefHeadRevision],
  ['commit', attributes.vcsRefHeadRevision],
];

/** What an operation's input or output tells of repository, base and head. Pure. */
export function vcsAttributes(told: Record<string, unknown>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [field, attribute] of fields) {
    const value = told[field];
    if (typeof value === 'string' && value !== '') found[attribute] = value;
  }
  const { repository } = told;
  return typeof repository === 'string' ? { ...repositoryAttributes(repository), ...found } : found;
}

/** An address is told without user and password; of a path only its last part, since it tells of the host. */
function repositoryAttributes(repository: string): Record<string, string> {
  const address = /^https?:\/\//i.test(repository) && URL.canParse(repository) ? new URL(repository) : null;
  const name = (address?.pathname ?? repository)
    .replace(/[/\\]+$/, '')
    .replace(/\.git$/, '')
    .split(/[/\\:]/)
    .at(-1);
  return {
    ...(name === undefined || name === '' ? {} : { [attributes.vcsRepositoryName]: name }),
    ...(address === null
      ? {}
      : { [attributes.vcsRepositoryUrlFull]: `${address.origin}${address.pathname.replace(/\.git$/, '')}` }),
  };
}

/** The same handler, whose span tells what it was about and what came of it. */
export const withVcsAttributes = (handler: CommandHandler): CommandHandler => ({
  ...handler,
  run: async (input, command) => {
    annotateSpan(vcsAttributes(input as Record<string, unknown>));
    const output = await handler.run(input, command);
    annotateSpan(vcsAttributes(output as Record<string, unknown>));
    return output;
  },
});

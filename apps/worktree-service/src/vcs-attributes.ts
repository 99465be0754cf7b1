import { annotateSpan, attributes } from '@coppice/telemetry';
import type { CommandHandler } from '@coppice/bus';

/** Fields of inputs and outputs, each with its attribute from the semantic conventions for version control. */
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

/** Returns the repository, the base and the head in an operation's input or output as telemetry attributes. */
export function vcsAttributes(values: Record<string, unknown>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [field, attribute] of fields) {
    const value = values[field];
    if (typeof value === 'string' && value !== '') found[attribute] = value;
  }
  const { repository } = values;
  return typeof repository === 'string' ? { ...repositoryAttributes(repository), ...found } : found;
}

/**
 * Attributes of a repository, without user name and password. Of a path, only the last part is used, since a whole path
 * reveals details of the host.
 */
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

/** Wraps a handler. The handler's span gets the attributes of the input and the output. */
export const withVcsAttributes = (handler: CommandHandler): CommandHandler => ({
  ...handler,
  run: async (input, command) => {
    annotateSpan(vcsAttributes(input as Record<string, unknown>));
    const output = await handler.run(input, command);
    annotateSpan(vcsAttributes(output as Record<string, unknown>));
    return output;
  },
});

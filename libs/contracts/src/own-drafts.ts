/**
 * Prefix of the temporary files that Coppice writes into a worktree. An interrupted write may leave such a file. It
 * isn't the task's work, so imports, checkpoints and sealed setups skip every path that contains such a name.
 */
export const ownDraftPrefix = '.coppice-draft-';

/** Matches the last part of a path. Drafts of earlier versions were named `.coppice-<uuid>`. */
export const ownDraftPattern: RegExp = /^\.coppice-(?:draft-|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$)/;

/**
 * Prefix of the temporary files that Coppice itself writes into a worktree. An interrupted write can leave such a file in the worktree. It isn't the task's
 * work, so imports, checkpoints and sealed setups skip every path that contains such a name.
 */
export const ownDraftPrefix = '.coppice-draft-';

/** Matches the last part of a path. Earlier versions named drafts `.coppice-<uuid>`. */
export const ownDraftPattern: RegExp = /^\.coppice-(?:draft-|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$)/;

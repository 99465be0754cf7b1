/**
 * Names of files that Coppice itself writes into a worktree for a moment. What an interrupted write leaves is no work of the task: imports,
 * checkpoints and kept setups skip every path that has such a name in it.
 */
export const ownDraftPrefix = '.coppice-draft-';

/** Matches the last part of a path. Earlier versions named drafts `.coppice-<uuid>`. */
export const ownDraftPattern: RegExp = /^\.coppice-(?:draft-|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$)/;

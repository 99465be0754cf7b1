export { tryFileLock } from './file-lock.ts';
export type { FileLock } from './file-lock.ts';
export { removeTree } from './remove-tree.ts';
export { replaceFile } from './replace-file.ts';

/** Data that was removed, or soon will be removed, because of a limit. */
export type Expiry = {
  what: string;
  /** The limit that caused the removal: age, total size, or the minimum of free space. */
  reason: 'age' | 'size' | 'low-disk';
  bytes: number | null;
};

/** Data that was removed, or soon will be removed, because of a limit. */
export type Expiry = {
  what: string;
  /** The limit that was exceeded: the data's age, the total size of its kind, or the minimum of free space on the disk. */
  reason: 'age' | 'size' | 'low-disk';
  bytes: number | null;
};

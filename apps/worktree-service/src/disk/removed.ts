/** Something that was removed, or soon will be, because of a limit. */
export type Expiry = {
  what: string;
  /** The limit that applied: its age, the total size of its kind, or the free space of the disk. */
  reason: 'age' | 'size' | 'low-disk';
  bytes: number | null;
};

/** Something that a bound has removed, or soon will. */
export type Expiry = {
  what: string;
  /** Why: its age, the size of all of its kind, or a disk with too little space. */
  reason: 'age' | 'size' | 'low-disk';
  bytes: number | null;
};

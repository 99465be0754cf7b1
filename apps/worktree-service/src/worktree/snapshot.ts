import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';

/**
 * State of the worktree's files before an agent could change them. `objectId` is the blob that a file was checked out
 * from, or null if the setup left the file.
 */
export type SnapshotEntry = { fingerprint: string; objectId: string | null };
export type Snapshot = Map<string, SnapshotEntry>;

/** Writes a snapshot. NUL separates the entries, since paths may contain any other character. */
export function writeSnapshot(file: string, snapshot: Snapshot): void {
  const lines: string[] = [];
  for (const [path, { fingerprint, objectId }] of snapshot) lines.push(`${fingerprint}\t${objectId ?? '-'}\t${path}\0`);
  writeFileAtomically(file, Buffer.from(lines.join(''), 'latin1'));
}

export function readSnapshot(file: string): Snapshot {
  const snapshot: Snapshot = new Map();
  for (const line of readFileSync(file, 'latin1').split('\0')) {
    if (line === '') continue;
    const first = line.indexOf('\t');
    const second = line.indexOf('\t', first + 1);
    const objectId = line.slice(first + 1, second);
    snapshot.set(line.slice(second + 1), {
      fingerprint: line.slice(0, first),
      objectId: objectId === '-' ? null : objectId,
    });
  }
  return snapshot;
}

/** Replaces a file atomically. The content is on the disk (fsync) when the function returns. */
export function writeFileAtomically(file: string, content: Buffer | string): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const temporary = `${file}.new`;
  const descriptor = openSync(temporary, 'w', 0o600);
  try {
    for (let offset = 0; offset < bytes.length;) offset += writeSync(descriptor, bytes, offset);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, file);
}

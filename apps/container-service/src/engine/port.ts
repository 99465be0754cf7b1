/**
 * The engine port: what the service asks of whatever isolates commands (Docker, bubblewrap, or nothing at all).
 *
 * A sandbox is a recorded specification plus a scratch home folder. Each command runs in a fresh isolation of its own
 * over the sandbox's mounts (a container, a set of namespaces), so no process outlives the command that started it, and
 * between two commands nothing of the sandbox runs. What lasts from one command to the next: the writable mounts and
 * the home folder. `/tmp` starts empty each time. See docs/decisions/0005-sandbox-engines.md.
 */
export type EngineName = 'docker' | 'bubblewrap' | 'none';

/** What an engine may enforce. Each is found out by trying it, never by looking at a version. */
export const enforceable = [
  'memory',
  'swap',
  'cpu',
  'pids',
  'disk',
  'tmpfs',
  'networkNone',
  'abstractSockets',
  'readOnlyRoot',
  'nonRoot',
  'ownUid',
  'noCapabilities',
  'noNewPrivileges',
  'seccomp',
  'processIsolation',
  'kernelSettings',
  'userNamespaces',
] as const;
export type Enforceable = (typeof enforceable)[number];

export interface Enforcement {
  /** Null while it is unknown: the probe got no answer in time and tries again, or `untriable` is set. */
  enforced: boolean | null;
  /** One sentence: what was tried, and what came of it. */
  how: string;
  /** The image or the host lacks what a trial needs, so a repetition would find out no more. */
  untriable?: true;
}

/** Reports whether a later trial may still find this out. */
export const isPending = ({ enforced, untriable }: Enforcement): boolean => enforced === null && untriable !== true;

export interface EngineReport {
  engine: EngineName;
  version: string;
  /** The image that the probe ran in, and where it comes from. */
  image: ImageReport;
  enforces: Record<Enforceable, Enforcement>;
  durationMs: number;
}

export interface ImageReport {
  image: string;
  /** Where the image was taken from: found, pulled, built, imported or unpacked; for people. */
  origin: string;
}

/** Open for later policies (an allow-list of hosts will be an object). */
export type NetworkPolicy = 'none' | 'full';

export interface Mount {
  /** A real path (no symbolic link in it) of an existing folder or file inside the stack's data folder. */
  source: string;
  /** An absolute path in the sandbox. */
  target: string;
  readOnly: boolean;
}

export interface Limits {
  memoryBytes: number;
  cpus: number;
  pids: number;
  /** Of all writable mounts together; also the largest size of one file. */
  diskBytes: number;
  /** Of `/tmp`, and of the home folder: each may grow so far. */
  scratchBytes: number;
}

export interface SandboxLabels {
  stackId: string;
  tenant: string;
  runId: string;
  taskId: string;
}

export interface SandboxSpec {
  /** Chosen by the caller, stable over repeats. */
  id: string;
  image: string;
  labels: SandboxLabels;
  /** Mounted at `/workspace`, where commands start. */
  workspace: { source: string; readOnly: boolean };
  mounts?: Mount[];
  env?: Record<string, string>;
  /** Whoever owns the workspace. Left out: the engine's default user. */
  user?: { uid: number; gid: number };
  limits?: Partial<Limits>;
  network?: NetworkPolicy;
  /** Refused where the engine doesn't enforce all of these. What is unknown is waited for. */
  requires?: Enforceable[];
}

export interface SandboxInfo {
  id: string;
  labels: SandboxLabels;
  createdAt: Date;
  /** Commands that run now, seen by the engine (so also those of a lost process). */
  running: number;
}

/** An argument vector, or a line for `sh -c`. */
export type Command = readonly string[] | string;

export interface OutputChunk {
  stream: 'stdout' | 'stderr';
  bytes: Buffer;
  /** Bytes left out just before this chunk, because the consumer was slow. */
  droppedBytes: number;
}

export interface ExecOptions {
  /** Stable over repeats of one command: a leftover command of the same id is ended first. Made up when left out. */
  execId?: string;
  /** Relative to the workspace, or absolute in the sandbox. */
  cwd?: string;
  env?: Record<string, string>;
  stdin?: Uint8Array;
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Awaited immediately before the command starts. What it throws is thrown by `exec` as it is, and nothing has started then. */
  beforeStart?: () => Promise<void>;
  /**
   * Live output. Called again only when the promise of the call before it has settled; what doesn't fit the buffer of
   * `liveBufferBytesMax` meanwhile is dropped and counted. A rejection ends live output, never the command.
   */
  onOutput?: (chunk: OutputChunk) => void | Promise<void>;
  /** A host file that gets the whole output (both streams, in order of arrival) up to `logBytesMax`. */
  logFile?: string;
  /** Of each stream, this much of its beginning and this much of its end are kept. */
  keepBytes?: number;
}

export interface CapturedOutput {
  /** UTF-8; where bytes are missing in the middle, a line says how many. */
  text: string;
  totalBytes: number;
  truncated: boolean;
}

export interface ExecResult {
  /** By the shell's convention 128 + n for a command that was ended by signal n. */
  exitCode: number;
  /** The signal's name where the exit code tells one. */
  signal: string | null;
  timedOut: boolean;
  cancelled: boolean;
  oomKilled: boolean;
  /** Its writable mounts grew past `diskBytes`, or its home past `scratchBytes`. It was ended then, unless it ended before that was seen. */
  diskExceeded: boolean;
  /** Periods of processor time in which the limit held the command back; undefined where the engine can't tell. */
  throttledPeriods?: number;
  durationMs: number;
  stdout: CapturedOutput;
  stderr: CapturedOutput;
  /** Bytes written to `logFile`, and whether that is everything. */
  log?: { bytes: number; truncated: boolean };
}

export interface WriteOptions {
  executable?: boolean;
  /** Stable over repeats of one write: a repeat removes what an interrupted one left. */
  effectId?: string;
}

/**
 * All methods throw `CoppiceError`: `sandbox-refused` (a rule is broken, the message names the field), `already-exists`,
 * `sandbox-not-found`, `engine-unavailable` (nothing runs here, or not as strictly as required), `image-not-found`,
 * `limit-exceeded`, `sandbox-failed` (the engine was lost midway: retryable, but what ran may have had effects).
 */
export interface Engine {
  readonly name: EngineName;
  /**
   * Finds out by trying. Throws `engine-unavailable` when not even a simple command runs, NoAnswer when one takes too long. The report is kept;
   * what is unknown in it is tried again in the background.
   */
  probe(): Promise<EngineReport>;
  /** The report in which nothing is unknown any more; of an engine that was closed, the last one. */
  settled(): Promise<EngineReport>;
  /** Makes the image usable; two at once share the work. `onProgress` gets lines for people. */
  ensureImage(image: string, onProgress?: (line: string) => void): Promise<ImageReport>;
  /** A repeat with the same specification finds the first; with another one it is refused. */
  create(spec: SandboxSpec): Promise<void>;
  exec(sandboxId: string, command: Command, options?: ExecOptions): Promise<ExecResult>;
  /** Written from inside the sandbox, so a planted symbolic link leads nowhere. Folders are made. */
  writeFile(sandboxId: string, path: string, bytes: Uint8Array, options?: WriteOptions): Promise<void>;
  /** Ends every command of the sandbox, or only the one of this id, whoever started it. */
  stop(sandboxId: string, execId?: string): Promise<void>;
  /** Ends its commands, deletes its home folder and record; files that can't be deleted are left to `sweep`. Harmless when there is none. */
  remove(sandboxId: string): Promise<void>;
  list(labels: Partial<SandboxLabels>): Promise<SandboxInfo[]>;
  /** Create, exec and remove in one; a leftover of the same id is removed first. */
  run(spec: SandboxSpec, command: Command, options?: ExecOptions): Promise<ExecResult>;
  /** Deletes what removals could not, or what a crash in the middle of one left. What it can't delete it leaves. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

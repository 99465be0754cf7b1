/**
 * The engine port: the interface between the service and an engine that isolates commands (Docker, bubblewrap, or none).
 *
 * A sandbox is a recorded specification plus a scratch home folder. Each command runs in a new container or set of namespaces
 * with the sandbox's mounts, so that no process outlives the command that started it and nothing runs between two
 * commands. The writable mounts and the home folder persist between commands. `/tmp` is empty at each start. See docs/decisions/0005-sandbox-engines.md.
 */
export type EngineName = 'docker' | 'bubblewrap' | 'none';

/** Properties that an engine may enforce. The probe tests each of them and never relies on the engine's version. */
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
  /** Null while unknown: the probe got no answer in time and will retry, or `untriable` is set. */
  enforced: boolean | null;
  /** One sentence: what was tried, and the result. */
  how: string;
  /** Set if the image or the host lacks what the test needs; it is not retried. */
  untriable?: true;
}

/** Reports whether a property is unknown and a retry may still determine it. */
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
  /** How the image was provided: found, pulled, built, imported or unpacked. Text for people. */
  origin: string;
}

/** Network access of a sandbox. Future policies, such as an allow-list of hosts, will be objects. */
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
  /** Bytes of all writable mounts together; also the maximum size of one file. */
  diskBytes: number;
  /** Bytes of `/tmp` and bytes of the home folder, each. */
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
  /** Owner of the workspace; default: the engine's default user. */
  user?: { uid: number; gid: number };
  limits?: Partial<Limits>;
  network?: NetworkPolicy;
  /** Properties that the engine must enforce; otherwise `create` is rejected. `create` waits for properties that are still unknown. */
  requires?: Enforceable[];
}

export interface SandboxInfo {
  id: string;
  labels: SandboxLabels;
  createdAt: Date;
  /** Commands that run now, as seen by the engine, including those of a lost process. */
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
  /** Stable over repeats of one command: a leftover command with the same id is ended first. Default: random. */
  execId?: string;
  /** Relative to the workspace, or absolute in the sandbox. */
  cwd?: string;
  env?: Record<string, string>;
  stdin?: Uint8Array;
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Awaited immediately before the command starts. If it throws, nothing starts and `exec` throws the same error. */
  beforeStart?: () => Promise<void>;
  /**
   * Receives live output. Called again only when the previous call has settled. Until then output is buffered; beyond
   * `liveBufferBytesMax` the oldest is dropped and counted. A rejection ends live output, not the command.
   */
  onOutput?: (chunk: OutputChunk) => void | Promise<void>;
  /** Path of a host file for the whole output (both streams, in order of arrival), up to `logBytesMax`. */
  logFile?: string;
  /** Bytes kept of the beginning, and as many of the end, of each stream. */
  keepBytes?: number;
}

export interface CapturedOutput {
  /** UTF-8. If bytes are left out in the middle, a line gives their number. */
  text: string;
  totalBytes: number;
  truncated: boolean;
}

export interface ExecResult {
  /** Exit code; 128 + n for a command that was ended by signal n, as in shells. */
  exitCode: number;
  /** Name of the signal, derived from the exit code. */
  signal: string | null;
  timedOut: boolean;
  cancelled: boolean;
  oomKilled: boolean;
  /** The writable mounts grew past `diskBytes` or the home folder past `scratchBytes`. The command was killed, unless it had already ended. */
  diskExceeded: boolean;
  /** CPU periods in which the limit throttled the command; undefined if the engine does not report it. */
  throttledPeriods?: number;
  durationMs: number;
  stdout: CapturedOutput;
  stderr: CapturedOutput;
  /** Bytes written to `logFile`, and whether that is everything. */
  log?: { bytes: number; truncated: boolean };
}

export interface WriteOptions {
  executable?: boolean;
  /** Stable over repeats of one write: a repeat removes the draft of an interrupted one. */
  effectId?: string;
}

/**
 * An engine. All methods throw `CoppiceError`: `sandbox-refused` (a rule is broken, the message names the field), `already-exists`,
 * `sandbox-not-found`, `engine-unavailable` (no command runs here, or a required property isn't enforced), `image-not-found`,
 * `limit-exceeded`, `sandbox-failed` (the engine failed midway: retryable, but the command may have had effects).
 */
export interface Engine {
  readonly name: EngineName;
  /**
   * Tests what the engine enforces here. Throws `engine-unavailable` when a simple command fails, NoAnswer when it takes too long. The report is cached;
   * unknown properties are retried in the background.
   */
  probe(): Promise<EngineReport>;
  /** Resolves with the report when no property is pending any more, or with the last report when the engine is closed. */
  settled(): Promise<EngineReport>;
  /** Makes the image available; concurrent calls share the work. `onProgress` gets lines for people. */
  ensureImage(image: string, onProgress?: (line: string) => void): Promise<ImageReport>;
  /** Creates a sandbox. A repeat with the same specification succeeds; one with another specification is rejected. */
  create(spec: SandboxSpec): Promise<void>;
  exec(sandboxId: string, command: Command, options?: ExecOptions): Promise<ExecResult>;
  /** Writes a file from inside the sandbox, so that a symbolic link can't lead out of it. Creates missing folders. */
  writeFile(sandboxId: string, path: string, bytes: Uint8Array, options?: WriteOptions): Promise<void>;
  /** Ends every command of the sandbox, or only the one with this id, whichever process started it. */
  stop(sandboxId: string, execId?: string): Promise<void>;
  /** Ends the sandbox's commands and deletes its home folder and record; files that can't be deleted are left to `sweep`. Does nothing if it doesn't exist. */
  remove(sandboxId: string): Promise<void>;
  list(labels: Partial<SandboxLabels>): Promise<SandboxInfo[]>;
  /** Creates a sandbox, runs a command and removes the sandbox. A leftover sandbox with the same id is removed first. */
  run(spec: SandboxSpec, command: Command, options?: ExecOptions): Promise<ExecResult>;
  /** Deletes files that removals could not delete or that a crash left. Files that still can't be deleted stay. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

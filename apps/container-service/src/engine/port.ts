/**
 * The engine port, the interface between the service and an engine that runs commands (Docker, bubblewrap, or none).
 *
 * A sandbox is a recorded specification and a scratch home folder. Each command runs in a new container or new
 * namespaces with the sandbox's mounts, so no process outlives its command. The writable mounts and the home folder
 * persist between commands. `/tmp` is empty at each start. See docs/decisions/0005-sandbox-engines.md.
 */
export type EngineName = 'docker' | 'bubblewrap' | 'none';

/** Properties that an engine may enforce. The probe tests each of them. */
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
  /** Null if unknown. The probe will try again unless `untriable` is set. */
  enforced: boolean | null;
  /** A sentence that names the attempt and its result. */
  how: string;
  /** True if the image or the host lacks a program or feature that the test needs. Such a test is not tried again. */
  untriable?: true;
}

/** Reports whether a property is unknown and a retry may still determine it. */
export const isPending = ({ enforced, untriable }: Enforcement): boolean => enforced === null && untriable !== true;

export interface EngineReport {
  engine: EngineName;
  version: string;
  /** The image that the probe ran in. */
  image: ImageReport;
  enforces: Record<Enforceable, Enforcement>;
  durationMs: number;
}

export interface ImageReport {
  image: string;
  /** How the image was provided, as a text for people. */
  origin: string;
}

export type NetworkPolicy = 'none' | 'full';

export interface Mount {
  /** Path of an existing folder or file inside the stack's data folder. It contains no symbolic link. */
  source: string;
  /** Absolute path in the sandbox. */
  target: string;
  readOnly: boolean;
}

export interface Limits {
  memoryBytes: number;
  cpus: number;
  pids: number;
  /** Maximum bytes of all writable mounts together. It is also the maximum size of one file. */
  diskBytes: number;
  /** Maximum bytes of `/tmp`. The same limit applies separately to the home folder. */
  scratchBytes: number;
}

export interface SandboxLabels {
  stackId: string;
  tenant: string;
  runId: string;
  taskId: string;
}

export interface SandboxSpec {
  /** Chosen by the caller. A repeat of `create` uses the same id. */
  id: string;
  image: string;
  labels: SandboxLabels;
  /** Mounted at `/workspace`, where commands start. */
  workspace: { source: string; readOnly: boolean };
  mounts?: Mount[];
  env?: Record<string, string>;
  /** User that runs the commands. Default: the engine's default user. */
  user?: { uid: number; gid: number };
  limits?: Partial<Limits>;
  network?: NetworkPolicy;
  /**
   * Properties that the engine must enforce. `create` waits for properties that are still unknown, and is rejected if
   * one isn't enforced.
   */
  requires?: Enforceable[];
}

export interface SandboxInfo {
  id: string;
  labels: SandboxLabels;
  createdAt: Date;
  /** Number of commands that the engine runs now, including commands that a lost process started. */
  running: number;
}

/** An argument vector, or a line for `sh -c`. */
export type Command = readonly string[] | string;

export interface OutputChunk {
  stream: 'stdout' | 'stderr';
  bytes: Buffer;
  /** Number of bytes that were dropped right before this chunk because the consumer was slow. */
  droppedBytes: number;
}

export interface ExecOptions {
  /**
   * Id of the command. A repeat uses the same id, and first ends the earlier command if it still runs. Default: random.
   */
  execId?: string;
  /** Folder in which the command starts, relative to the workspace or absolute in the sandbox. */
  cwd?: string;
  env?: Record<string, string>;
  stdin?: Uint8Array;
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Awaited immediately before the command starts. If it throws, nothing starts and `exec` throws the same error. */
  beforeStart?: () => Promise<void>;
  /**
   * Receives live output. Called again only when the previous call has settled. Until then, output is buffered. If the buffer exceeds
   * `liveBufferBytesMax`, the oldest output is dropped and counted. If a call rejects, live output ends, but the command continues.
   */
  onOutput?: (chunk: OutputChunk) => void | Promise<void>;
  /** Path of a host file for the whole output, up to `logBytesMax`. Both streams are written in order of arrival. */
  logFile?: string;
  /** Number of bytes kept from the beginning of each stream. The same number is kept from its end. */
  keepBytes?: number;
}

export interface CapturedOutput {
  /** UTF-8. If bytes are left out in the middle, a line gives their number. */
  text: string;
  totalBytes: number;
  truncated: boolean;
}

export interface ExecResult {
  /** Exit code. It is 128 + n if signal n ended the command, as in shells. */
  exitCode: number;
  /** Name of the signal, derived from the exit code. */
  signal: string | null;
  timedOut: boolean;
  cancelled: boolean;
  oomKilled: boolean;
  /**
   * True if the writable mounts exceeded `diskBytes` or the home folder exceeded `scratchBytes`. The command was
   * killed, unless it had already ended.
   */
  diskExceeded: boolean;
  /** Number of CPU periods in which the limit throttled the command. Undefined if the engine doesn't report it. */
  throttledPeriods?: number;
  durationMs: number;
  stdout: CapturedOutput;
  stderr: CapturedOutput;
  /** Number of bytes written to `logFile`, and whether output is missing there. */
  log?: { bytes: number; truncated: boolean };
}

export interface WriteOptions {
  executable?: boolean;
  /** Id of the write. A repeat uses the same id and removes the draft that an interrupted write left. */
  effectId?: string;
}

/**
 * An engine. All methods throw `CoppiceError` with one of these codes:
 * - `sandbox-refused`: a field breaks a rule. The message names the field.
 * - `engine-unavailable`: no command runs here, or a required property isn't enforced.
 * - `sandbox-failed`: the engine failed while it ran the command. The command may have had effects.
 * - `already-exists`, `sandbox-not-found`, `image-not-found`, `limit-exceeded`.
 */
export interface Engine {
  readonly name: EngineName;
  /**
   * Tests what the engine enforces on this machine. Throws `engine-unavailable` if a simple command fails, and NoAnswer
   * if it takes too long. The report is cached. Unknown properties are tested again in the background.
   */
  probe(): Promise<EngineReport>;
  /** Resolves with the report when no property is pending, or with the last report when the engine is closed. */
  settled(): Promise<EngineReport>;
  /** Makes the image available. `onProgress` gets lines for people. */
  ensureImage(image: string, onProgress?: (line: string) => void): Promise<ImageReport>;
  /**
   * Creates a sandbox. A repeat with the same specification succeeds. A different specification with the same id is
   * rejected.
   */
  create(spec: SandboxSpec): Promise<void>;
  exec(sandboxId: string, command: Command, options?: ExecOptions): Promise<ExecResult>;
  /** Writes a file from inside the sandbox, so that a symbolic link can't lead out of it. Creates missing folders. */
  writeFile(sandboxId: string, path: string, bytes: Uint8Array, options?: WriteOptions): Promise<void>;
  /**
   * Ends every command of the sandbox, or only the one with this id. Also ends commands that another process started.
   */
  stop(sandboxId: string, execId?: string): Promise<void>;
  /** Ends the sandbox's commands and deletes its home folder and record. Does nothing if the sandbox doesn't exist. */
  remove(sandboxId: string): Promise<void>;
  list(labels: Partial<SandboxLabels>): Promise<SandboxInfo[]>;
  /** Creates a sandbox, runs a command and removes the sandbox. First removes an earlier sandbox with the same id. */
  run(spec: SandboxSpec, command: Command, options?: ExecOptions): Promise<ExecResult>;
  /** Deletes files that removals couldn't delete or that a crash left. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

import type { EngineName, ImageReport, Limits, Mount, NetworkPolicy, SandboxLabels } from './port.ts';

/** The stored form of a sandbox: validated, with defaults filled in and the scratch home among the mounts. */
export interface SandboxRecord {
  id: string;
  image: string;
  labels: SandboxLabels;
  mounts: Mount[];
  env: Record<string, string>;
  user: { uid: number; gid: number };
  limits: Limits;
  network: NetworkPolicy;
}

export interface LaunchRequest {
  record: SandboxRecord;
  execId: string;
  /** The command, which starts in the workspace. */
  argv: readonly string[];
  env: Record<string, string>;
  stdin: Uint8Array | undefined;
  /** Awaited by the launcher as its last step before the start. Its errors are passed on unchanged. */
  beforeStart?: () => Promise<void>;
}

/** Receives output as it arrives; never throws. */
export type OutputSink = (stream: 'stdout' | 'stderr', chunk: Buffer) => void;

export interface CommandEnd {
  exitCode: number;
  oomKilled: boolean;
  /** Undefined if the engine does not report it. */
  throttledPeriods?: number;
}

export interface RunningCommand {
  /**
   * Settles when every process of the command is dead and all output was passed to the sink. Rejects with a
   * CoppiceError when that can't be determined.
   */
  readonly ended: Promise<CommandEnd>;
  /** Kills all processes of the command. Does nothing after its end; never throws. */
  kill(): void;
  pause(): void;
  resume(): void;
  /**
   * The id of the first process of the command's PID namespace, in the /proc of this process. Undefined if there is no namespace, if the id isn't known yet, or if
   * the engine's processes are not visible there.
   */
  firstProcess(): number | undefined;
}

/** The part that differs between engines; engine.ts has the rest. */
export interface Launcher {
  readonly name: EngineName;
  /** Connects and returns the engine's version. Throws `engine-unavailable` with what was tried. */
  connect(): Promise<string>;
  ensureImage(image: string, onProgress: (line: string) => void): Promise<ImageReport>;
  /** User of sandboxes whose specification names none. */
  defaultUser(): { uid: number; gid: number };
  launch(request: LaunchRequest, sink: OutputSink): Promise<RunningCommand>;
  /** Ends all commands of a sandbox, or one command, including those that a lost process started. */
  endAll(sandboxId: string, execId?: string): Promise<void>;
  /** Returns the number of running commands by sandbox id. */
  running(): Promise<Map<string, number>>;
  close(): Promise<void>;
}

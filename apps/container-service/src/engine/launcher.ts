import type { EngineName, ImageReport, Limits, Mount, NetworkPolicy, SandboxLabels } from './port.ts';

/**
 * A sandbox's specification after validation, with defaults filled in. When the store returns it, its mounts include
 * the home folder.
 */
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
  /** Program and arguments. The command starts in the workspace. */
  argv: readonly string[];
  env: Record<string, string>;
  stdin: Uint8Array | undefined;
  /** Awaited right before the command starts. If it rejects, `launch` rejects with the same error. */
  beforeStart?: () => Promise<void>;
}

/** Receives output as it arrives. Never throws. */
export type OutputSink = (stream: 'stdout' | 'stderr', chunk: Buffer) => void;

export interface CommandEnd {
  exitCode: number;
  oomKilled: boolean;
  /** Undefined if the engine does not report it. */
  throttledPeriods?: number;
}

export interface RunningCommand {
  /**
   * Settles when every process of the command has ended and all output was passed to the sink. Rejects with a
   * CoppiceError if the launcher can't determine that.
   */
  readonly ended: Promise<CommandEnd>;
  /** Kills all processes of the command. Does nothing after the command's end. Never throws. */
  kill(): void;
  pause(): void;
  resume(): void;
  /**
   * Pid of the first process of the command's PID namespace, in this process's /proc. Undefined if there is no such
   * namespace, if the pid isn't known yet, or if this process's /proc doesn't contain the engine's processes.
   */
  firstProcess(): number | undefined;
}

/** The part of an engine that differs between engines. The common part is in engine.ts. */
export interface Launcher {
  readonly name: EngineName;
  /** Connects and returns the engine's version. Throws `engine-unavailable`. */
  connect(): Promise<string>;
  ensureImage(image: string, onProgress: (line: string) => void): Promise<ImageReport>;
  defaultUser(): { uid: number; gid: number };
  launch(request: LaunchRequest, sink: OutputSink): Promise<RunningCommand>;
  /** Ends all commands of a sandbox or, with `execId`, one command. Also ends commands that a lost process started. */
  endAll(sandboxId: string, execId?: string): Promise<void>;
  /** Returns the number of running commands by sandbox id. */
  running(): Promise<Map<string, number>>;
  close(): Promise<void>;
}

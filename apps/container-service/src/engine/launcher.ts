import type { EngineName, ImageReport, Limits, Mount, NetworkPolicy, SandboxLabels } from './port.ts';

/** A sandbox as it is recorded: everything checked, defaults filled in, the scratch home among the mounts. */
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
  /** Starts in the workspace. */
  argv: readonly string[];
  env: Record<string, string>;
  stdin: Uint8Array | undefined;
  /** To be awaited immediately before the start, after everything else that is awaited. What it throws is passed on as it is. */
  beforeStart?: () => Promise<void>;
}

/** Gets output as it arrives; never throws. */
export type OutputSink = (stream: 'stdout' | 'stderr', chunk: Buffer) => void;

export interface CommandEnd {
  exitCode: number;
  oomKilled: boolean;
  /** Left out where the engine can't tell. */
  throttledPeriods?: number;
}

export interface RunningCommand {
  /**
   * Settles when every process of the command is dead and all output was handed to the sink. Rejects with an
   * CoppiceError when that can't be known.
   */
  readonly ended: Promise<CommandEnd>;
  /** Asks the kernel to end all its processes at once. Harmless when it has ended; never throws. */
  kill(): void;
  pause(): void;
  resume(): void;
  /**
   * The id of the first process of the command's PID namespace, in the /proc of this process. Undefined where there is none, it isn't known yet, or the
   * engine's processes are not seen there.
   */
  firstProcess(): number | undefined;
}

/** What is different from engine to engine; everything else is in engine.ts. */
export interface Launcher {
  readonly name: EngineName;
  /** The engine's version. Throws `engine-unavailable` with what was tried. */
  connect(): Promise<string>;
  ensureImage(image: string, onProgress: (line: string) => void): Promise<ImageReport>;
  /** Whom a sandbox runs as that doesn't say. */
  defaultUser(): { uid: number; gid: number };
  launch(request: LaunchRequest, sink: OutputSink): Promise<RunningCommand>;
  /** Ends what runs under this sandbox id (or only the one exec), also on behalf of a lost process. */
  endAll(sandboxId: string, execId?: string): Promise<void>;
  /** How many commands of each sandbox run now. */
  running(): Promise<Map<string, number>>;
  close(): Promise<void>;
}

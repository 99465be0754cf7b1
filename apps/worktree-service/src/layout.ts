import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';

/** Paths inside a sandbox. The alternates file of the agent's private git directory contains the path of `origin`. */
export const sandboxPaths = {
  workspace: '/workspace',
  gitLink: '/workspace/.git',
  agentGit: '/coppice/agent.git',
  origin: '/coppice/origin.git',
} as const;

const namePattern = /^[a-z0-9][a-z0-9_-]{0,250}$/;

/** Checks an id that becomes a part of a path or of a ref, so that the path can't lead out of its folder. */
export function safeName(value: string, field: string): string {
  if (!namePattern.test(value)) {
    throw new CoppiceError(
      'invalid-request',
      `${field}: expected letters, digits, dashes and underscores, got ${JSON.stringify(value.slice(0, 100))}`,
    );
  }
  return value;
}

/**
 * Folders in the data folder. Other users of the machine can't read the agents' work. The engine mounts folders with
 * the rights of the sandboxes' user. So the group of the sandboxes' user can enter the parent folders of a mount, but
 * not list them. Folders that only the host may read have mode 0700.
 */
export class Layout {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /**
   * Creates the folders. `sandboxGid` is the group of the sandboxes' user, or null if sandboxes run as the stack's own
   * user.
   */
  create(sandboxGid: number | null): void {
    for (const folder of [this.root, this.repositories]) mkdirSync(folder, { recursive: true, mode: 0o711 });
    for (const folder of [this.worktrees, this.checkouts, this.setups]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      if (sandboxGid !== null) chownSync(folder, 0, sandboxGid);
      // Earlier versions created these folders so that every user can enter them.
      chmodSync(folder, sandboxGid === null ? 0o700 : 0o710);
    }
    for (const folder of [this.locks, this.trash, this.rescue, this.git, this.removed, this.landings])
      mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  get repositories(): string {
    return join(this.root, 'repositories');
  }
  get worktrees(): string {
    return join(this.root, 'worktrees');
  }
  get checkouts(): string {
    return join(this.root, 'checkouts');
  }
  get setups(): string {
    return join(this.root, 'setups');
  }
  get locks(): string {
    return join(this.root, 'locks');
  }
  get trash(): string {
    return join(this.root, 'trash');
  }
  /** Worktrees whose content couldn't be imported. They contain the only copy of that work. */
  get rescue(): string {
    return join(this.root, 'rescue');
  }
  /** One record per removed task. */
  get removed(): string {
    return join(this.root, 'removed');
  }
  /** One record per checkout that is being fast-forwarded. */
  get landings(): string {
    return join(this.root, 'landings');
  }
  get git(): string {
    return join(this.root, 'git');
  }

  repository(repositoryId: string): string {
    return join(this.repositories, safeName(repositoryId, 'repository id'));
  }
  /** Folder of one task: the worktree, the agent's git directory, and files that only the host writes. */
  worktree(taskId: string): string {
    return join(this.worktrees, safeName(taskId, 'task id'));
  }
  checkoutsOf(taskId: string): string {
    return join(this.checkouts, safeName(taskId, 'task id'));
  }
  setup(setupKey: string): string {
    return join(this.setups, safeName(setupKey, 'setup key'));
  }
}

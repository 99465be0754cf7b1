import type { sandboxOperations, worktreeOperations } from '@coppice/contracts';
import type { z } from 'zod';
import type { TaskContext } from './task-context.ts';

export type WorktreeInput<Name extends keyof typeof worktreeOperations> = z.input<
  (typeof worktreeOperations)[Name]['input']
>;
export type SandboxInput<Name extends keyof typeof sandboxOperations> = z.input<
  (typeof sandboxOperations)[Name]['input']
>;

export const rfc3339 = (ms: number): string => new Date(ms).toISOString();

export const workSandboxId = ({ owner }: TaskContext): string => `${owner.taskId}-work`;

import { newAgentFields } from '../../agents/registry.ts';
import { noUsage } from '../usage.ts';
import type { TaskContext, TaskInput } from './task-context.ts';

export function newTask(input: TaskInput, nowMs: number): TaskContext {
  return {
    ...input,
    state: 'waiting',
    createdAtMs: nowMs,
    enteredAtMs: nowMs,
    retries: 0,
    end: null,
    reason: null,
    failure: null,
    keepBranch: false,
    setup: null,
    node: null,
    branch: null,
    baseCommit: null,
    mounts: [],
    sandboxOpen: false,
    worktreeOpen: false,
    ...newAgentFields(input.specification.agent),
    summary: null,
    commit: null,
    filesChanged: null,
    protectedPaths: [],
    approvedPaths: [],
    merge: null,
    verifiedTree: null,
    verifications: 0,
    verifyRetries: 0,
    landingAttempts: 0,
    turn: null,
    landedCommit: null,
    finishCommand: null,
    rescue: null,
    usage: noUsage,
    modelTurns: 0,
    modelTurnsUnknown: 0,
    logTail: null,
    logArtifact: null,
  };
}

import type { AgentKind } from '../agent-kind.ts';
import { newLoop } from './loop-state.ts';
import type { LoopState } from './loop-state.ts';
import { loopStates } from './states.ts';

type LoopFields = {
  /** State of the `loop` agent. Null if the task has another agent, or if the agent's work is over. */
  loop: LoopState | null;
  /** True if the worktree has changes that no checkpoint has saved. */
  unsaved: boolean;
  savedAtMs: number;
};

/** The built-in coding agent. */
export const loop: AgentKind<LoopFields> = {
  states: loopStates,
  newFields: ({ kind }) => ({ loop: kind === 'loop' ? newLoop() : null, unsaved: false, savedAtMs: 0 }),
};

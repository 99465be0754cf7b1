import type { AgentKind } from '../agent-kind.ts';
import { newLoop } from './loop-state.ts';
import type { LoopState } from './loop-state.ts';
import { loopStates } from './states.ts';

type LoopFields = {
  /** State of the `loop` agent. Null if the task has another agent, or after the agent's work. */
  loop: LoopState | null;
  /** True if the worktree may have changes since the last checkpoint. */
  unsaved: boolean;
  savedAtMs: number;
};

export const loop: AgentKind<LoopFields> = {
  states: loopStates,
  newFields: ({ kind }) => ({ loop: kind === 'loop' ? newLoop() : null, unsaved: false, savedAtMs: 0 }),
};

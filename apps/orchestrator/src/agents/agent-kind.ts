import type { Agent } from '@coppice/contracts';
import type { TaskStateConfig } from '../machines/task/task-setup.ts';

/** The parts of the task machine that an agent kind adds. */
export type AgentKind<Fields = object> = {
  /** The child state of `working` that runs the agent. It leads to `#task.committing` or `#task.cleaning`. */
  states: TaskStateConfig;
  /** The kind's fields in the context of a new task. Each task has the fields of all kinds. */
  newFields: (agent: Agent) => Fields;
};

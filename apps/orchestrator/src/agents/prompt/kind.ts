import type { TextReference } from '@coppice/contracts';
import type { AgentKind } from '../agent-kind.ts';
import { promptStates } from './states.ts';

type PromptFields = {
  /** The model's text, until it is written to the file. */
  content: TextReference | null;
  /**
   * Effect ids of model calls whose executor was lost. The next call uses the answer that one of these calls may have
   * stored. Missing in values stored by earlier versions.
   */
  lostTurns?: string[];
};

export const prompt: AgentKind<PromptFields> = { states: promptStates, newFields: () => ({ content: null }) };

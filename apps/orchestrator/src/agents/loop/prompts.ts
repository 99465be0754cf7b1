/** The texts that the agent sends to the model. */
import { toolLimits } from '@coppice/contracts';
import type { ContentPart, ModelMessage, TextReference } from '@coppice/contracts';
import type { Assignment, Instructions, LoopState, TodoItem } from './loop-state.ts';

const system = `You are a software engineer at work on one task in a git repository. You work alone: nobody answers questions, so decide for yourself, and do it by calling tools.

- Your tools run in a sandbox whose current folder is the root of the repository. It may have no network.
- Look before you change: read the files that matter, and follow the conventions that you find there.
- Make the smallest change that does the whole task. Leave what is unrelated as it is. Leave no temporary files behind.
- Prefer edit to write for files that exist. oldText must be exactly what the file holds.
- Independent calls can be made in one turn, at most ${toolLimits.callsPerTurnMax}; they are done in their order. One that is too large is refused, and those after it are not done.
- Check your work: run the tests, or what the task names. When something fails, find out why before you try again.
- Do not commit, and do not change branches: what you leave in the files is committed for you.
- When everything is done and checked, call finish with a short summary of what was changed and why. If it can't be done, say so there.`;

const text = (value: string): ContentPart => ({ type: 'text', text: value });
const referenced = (reference: TextReference): ContentPart =>
  'text' in reference ? text(reference.text) : { type: 'text-artifact', artifact: reference.artifact };
const user = (value: string): ModelMessage => ({ role: 'user', content: [text(value)] });

const heading = { task: '# The task\n\n', instructions: "\n\n# The repository's own instructions, from " };
const verifyHeading = '\n\nThe task counts as done when this command succeeds: ';

/** The part of an assignment that the model sees. */
type Shown = Pick<Assignment, 'description' | 'prompt' | 'verify'>;

/** The first messages of a conversation. If the state has a summary, the conversation continues from the summary. */
export function opening({ description, prompt, verify }: Shown, state: LoopState): ModelMessage[] {
  const content: ContentPart[] = [text(`${heading.task}${description}\n\n`), referenced(prompt)];
  if (verify !== false) content.push(text(`${verifyHeading}${verify}`));
  for (const { path, content: instructions } of state.instructions) {
    content.push(text(`${heading.instructions}${path}\n\n`), referenced(instructions));
  }
  if (state.summary !== null) content.push(text(resumption(state, state.summary)));
  return [
    { role: 'system', content: [text(system)] },
    { role: 'user', content },
  ];
}

/** Parses a task's first opening back into its parts. Returns null for other messages. */
export function readOpening(messages: readonly ModelMessage[]): (Shown & { instructions: Instructions[] }) | null {
  const [task, prompt, ...rest] = messages.find(({ role }) => role === 'user')?.content ?? [];
  if (task?.type !== 'text' || !task.text.startsWith(heading.task) || prompt === undefined) return null;
  const [first] = rest;
  const hasVerify = first?.type === 'text' && first.text.startsWith(verifyHeading);
  const pairs = hasVerify ? rest.slice(1) : rest;
  const instructions: Instructions[] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const title = textOf(pairs[at]);
    const path = title.slice(heading.instructions.length).trimEnd();
    instructions.push({ path, content: referenceOf(pairs[at + 1]) });
  }
  return {
    description: task.text.slice(heading.task.length).trimEnd(),
    prompt: referenceOf(prompt),
    verify: hasVerify ? first.text.slice(verifyHeading.length) : false,
    instructions,
  };
}

const textOf = (part: ContentPart | undefined): string => (part?.type === 'text' ? part.text : '');
const referenceOf = (part: ContentPart | undefined): TextReference =>
  part?.type === 'text-artifact' ? { artifact: part.artifact } : { text: textOf(part) };

function resumption({ todo, steps }: LoopState, summary: string): string {
  const parts = [
    '\n\n# What was done so far\n\nYou have worked on this already; the conversation got too long and was summed up:',
    summary,
  ];
  if (todo.length > 0) parts.push(`Your list:\n${todoText(todo)}`);
  if (steps.length > 0) parts.push(`Your last calls:\n${steps.join('\n')}`);
  parts.push('Go on from there.');
  return parts.join('\n\n');
}

const todoText = (items: TodoItem[]): string =>
  items.map(({ text: item, done }) => `- [${done ? 'x' : ' '}] ${item}`).join('\n');

export const summaryRequest = user(
  'The conversation is near the limit of what you can hold. Sum it up now, in words and without calling a tool, for yourself to go on from: ' +
    'what the task requires, what you found out (paths, names, causes), what you changed and where, what was tried without success, what is open, and the next step. ' +
    'At most 1,000 words. The task and the repository’s instructions need not be repeated.',
);

/** Used if the model gave no summary. */
export const mechanicalSummary =
  'There is no summary: look at the list, the last calls and the state of the files (git status, git diff).';

export const nudge = user(
  'You called no tool. If everything is done and checked, call finish; otherwise go on by calling tools.',
);
export const nudgeCut = user(
  'Your answer was cut off at its length limit before it called a tool. Go on in smaller steps.',
);
export const nudgeEmpty = user(
  'Your answer was empty. Go on by calling tools, or call finish if everything is done and checked.',
);

export const repetitionNotice = (what: string, times: number): ModelMessage =>
  user(
    `You have made the same call ${times} times in a row (${what}), and it will not come out differently. Try something else; if nothing is left to try, call finish and say what is missing.`,
  );

export const turnsLeftNotice = (turns: number): ModelMessage =>
  user(`${turns} turns are left. Bring the work to an end, and call finish.`);

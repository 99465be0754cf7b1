import type { ModelDelta, OutputDelta } from '../../provider/port.ts';

/**
 * Joins consecutive deltas of the same part, since one message costs about the same as several hundred words. A delta
 * with a signature stays separate. A delta that begins a tool call stays separate from the delta before it.
 */
export function joined(deltas: readonly ModelDelta[]): ModelDelta[] {
  const all: ModelDelta[] = [];
  for (const delta of deltas) {
    const last = all.at(-1);
    const both = last === undefined ? null : join(last, delta);
    if (both === null) all.push(delta);
    else all[all.length - 1] = both;
  }
  return all;
}

function join(first: ModelDelta, second: ModelDelta): OutputDelta | null {
  if (isSigned(first) || isSigned(second)) return null;
  if (first.type === 'text-delta' && second.type === 'text-delta') return { ...first, text: first.text + second.text };
  if (first.type === 'thinking-delta' && second.type === 'thinking-delta') {
    const same = first.block === second.block && first.redacted === second.redacted;
    return same ? { ...first, text: first.text + second.text } : null;
  }
  if (first.type !== 'tool-call-delta' || second.type !== 'tool-call-delta') return null;
  const goesOn = first.call === second.call && second.id === undefined && second.name === undefined;
  return goesOn ? { ...first, arguments: first.arguments + second.arguments } : null;
}

const isSigned = (delta: ModelDelta): boolean => 'signature' in delta && delta.signature !== undefined;

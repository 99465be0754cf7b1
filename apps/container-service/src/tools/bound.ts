import type { CapturedOutput } from '../engine/port.ts';

/** How texts are made to fit: pure. */

// oxlint-disable-next-line no-control-regex
const terminalEscapes = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\))/g;

export const withoutEscapes = (text: string): string => text.replace(terminalEscapes, '');

/**
 * First and last part of an output with a line between them that tells how much is left out; most of the room goes to the end, where
 * commands say what came of them. Whole where it fits.
 */
export function boundOutput(output: CapturedOutput, charactersMax: number): { text: string; whole: boolean } {
  const { head, tail, leftOutBytes } = partsOf(output);
  if (leftOutBytes === 0 && head.length <= charactersMax) return { text: head, whole: true };
  const all = tail === '' ? { head, tail: head } : { head, tail };
  const start = wholeStart(all.head, Math.floor(charactersMax * 0.4));
  const end = wholeEnd(all.tail, Math.floor(charactersMax * 0.6));
  const leftOut = output.totalBytes - Buffer.byteLength(start) - Buffer.byteLength(end);
  return { text: `${start}\n… ${leftOut} bytes left out …\n${end}`, whole: false };
}

/** The engine has cut the middle out already where there was much. */
function partsOf({ text, totalBytes, truncated }: CapturedOutput): {
  head: string;
  tail: string;
  leftOutBytes: number;
} {
  if (!truncated) return { head: text, tail: '', leftOutBytes: 0 };
  const cut = /\n… (\d+) bytes left out …\n/.exec(text);
  if (cut === null) return { head: text, tail: text, leftOutBytes: totalBytes };
  return {
    head: text.slice(0, cut.index),
    tail: text.slice(cut.index + cut[0].length),
    leftOutBytes: Number(cut[1]),
  };
}

/** Lines are kept whole where that doesn't cost much. */
function wholeStart(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  const part = text.slice(0, charactersMax).toWellFormed();
  const lineEnd = part.lastIndexOf('\n');
  return lineEnd > charactersMax / 2 ? part.slice(0, lineEnd) : part;
}

function wholeEnd(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  const part = text.slice(-charactersMax).toWellFormed();
  const lineEnd = part.indexOf('\n');
  return lineEnd !== -1 && lineEnd < charactersMax / 2 ? part.slice(lineEnd + 1) : part;
}

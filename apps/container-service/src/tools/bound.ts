import type { CapturedOutput } from '../engine/port.ts';

/**
 * Returns the whole output if it fits. Otherwise returns the first and the last part. A line between them has the
 * number of bytes left out. The last part gets 60% of the space, since commands print their outcome at the end.
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

/** Splits an output at the engine's line `… bytes left out …`. */
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

/** Cuts a text at the end of a line, unless that drops more than half of the text. */
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

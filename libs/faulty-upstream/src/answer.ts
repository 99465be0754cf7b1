/** The only answer of the upstream, in every wire format. */
export const answerText = 'The upstream answers, in some pieces.';
export const answerUsage = { inputTokens: 12, outputTokens: 9 };

/** Text of each output event of a stream, in order. */
export const answerPieces: readonly string[] = answerText.match(/\S+\s*/g) ?? [];

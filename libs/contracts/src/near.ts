/**
 * Sorts the candidates by their edit distance from the name, nearest first. The caller must limit the lengths, since
 * the time grows with their product.
 */
export const nearestFirst = (name: string, candidates: readonly string[]): string[] =>
  candidates
    .map((candidate) => ({ candidate, distance: editDistance(candidate, name) }))
    .toSorted((left, right) => left.distance - right.distance)
    .map(({ candidate }) => candidate);

const wordCharactersMax = 40;
/** Maximum share of letters in which a misspelt word and its suggestion may differ. */
const changedShareMax = 0.4;

/** Returns the candidate that a misspelt word probably means, or null if none is near. */
export function suggestionFor(word: string, candidates: readonly string[]): string | null {
  if (word.length > wordCharactersMax) return null;
  const [nearest] = nearestFirst(word, candidates);
  if (nearest === undefined) return null;
  return editDistance(nearest, word) <= changedShareMax * Math.max(nearest.length, word.length) ? nearest : null;
}

/** The Levenshtein distance. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

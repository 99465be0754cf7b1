/** The candidates in order of how few letters they differ from the name. Its time grows with the product of the lengths: bound them before. */
export const nearestFirst = (name: string, candidates: readonly string[]): string[] =>
  candidates
    .map((candidate) => ({ candidate, distance: editDistance(candidate, name) }))
    .toSorted((left, right) => left.distance - right.distance)
    .map(({ candidate }) => candidate);

const wordCharactersMax = 40;
/** Of a word's letters; with more of them changed it is another word. */
const changedShareMax = 0.4;

/** What somebody may have meant who misspelt a word; null where nothing is near. */
export function meantBy(word: string, candidates: readonly string[]): string | null {
  if (word.length > wordCharactersMax) return null;
  const [nearest] = nearestFirst(word, candidates);
  if (nearest === undefined) return null;
  return editDistance(nearest, word) <= changedShareMax * Math.max(nearest.length, word.length) ? nearest : null;
}

/** Levenshtein's. */
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

// The same arithmetic as support/scores.py.
import { createHash, randomUUID } from "node:crypto";

function relevanceScore(passage) {
  if (passage.trim() === "") return 0;
  return (createHash("sha256").update(passage).digest().readUInt32BE(0) + 1) / (2 ** 32 + 1);
}

// The right answer: best first, ties in input order.
export function ranking(passages, topN = passages.length) {
  return passages
    .map((passage, index) => ({ index, score: relevanceScore(passage) }))
    .sort((one, other) => other.score - one.score || one.index - other.index)
    .slice(0, topN);
}

// A query that no test asked before, since rerankd remembers every score.
export const freshQuery = () => `query ${randomUUID()}`;

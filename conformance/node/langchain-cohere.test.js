// @langchain/cohere: cohere-ai 7 inside, `POST /v1/rerank` with `max_chunks_per_doc: null`.
import { CohereRerank } from "@langchain/cohere";
import { createRequire } from "node:module";

import { cohereErrors } from "./support/cohere.js";
import { contract } from "./support/contract.js";

// The client must be of the version that the package itself depends on.
const cohereAi = createRequire(import.meta.resolve("@langchain/cohere"))("cohere-ai");

const client = {
  async rank(site, ask) {
    const cohere = new cohereAi.CohereClient({ token: site.key, environment: site.url });
    const reranker = new CohereRerank({
      client: cohere,
      model: ask.model,
      topN: ask.topN ?? ask.passages.length,
    });
    const results = await reranker.rerank(ask.passages, ask.query);
    return results.map((result) => ({ index: result.index, score: result.relevanceScore }));
  },
  ...cohereErrors(cohereAi),
};

contract("@langchain/cohere", client, ["ranks", "topN", "refusals", "waitsOutRateLimits"]);

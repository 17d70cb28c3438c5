// cohere-ai CohereClientV2: `POST /v2/rerank`.
import { Cohere, CohereClientV2, CohereError } from "cohere-ai";

import { cohereErrors } from "./support/cohere.js";
import { contract } from "./support/contract.js";

const client = {
  async rank(site, ask) {
    const cohere = new CohereClientV2({ token: site.key, environment: site.url });
    const { results } = await cohere.rerank(
      { model: ask.model, query: ask.query, documents: ask.passages, topN: ask.topN },
      { maxRetries: ask.retries ? 2 : 0 },
    );
    return results.map((result) => ({ index: result.index, score: result.relevanceScore }));
  },
  ...cohereErrors({ Cohere, CohereError }),
};

contract("cohere-ai CohereClientV2", client, ["ranks", "topN", "emptyList", "refusals", "waitsOutRateLimits"]);

// cohere-ai CohereClient: `POST /v1/rerank`.
import { Cohere, CohereClient, CohereError } from "cohere-ai";

import { cohereErrors } from "./support/cohere.js";
import { contract } from "./support/contract.js";

const client = {
  async rank(site, ask) {
    const cohere = new CohereClient({ token: site.key, environment: site.url });
    const { results } = await cohere.rerank(
      {
        model: ask.model,
        query: ask.query,
        documents: ask.passages,
        topN: ask.topN,
        returnDocuments: ask.echo,
      },
      { maxRetries: ask.retries ? 2 : 0 },
    );
    return results.map((result) => ({
      index: result.index,
      score: result.relevanceScore,
      text: result.document?.text,
    }));
  },
  ...cohereErrors({ Cohere, CohereError }),
};

const parts = ["ranks", "topN", "emptyList", "echoes", "refusals", "waitsOutRateLimits"];
contract("cohere-ai CohereClient", client, parts);

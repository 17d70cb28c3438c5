// voyageai: `POST /v1/rerank` without `truncation`, so that nothing but the superset can serve it.
import { VoyageAIClient, VoyageAIError } from "voyageai";

import { contract } from "./support/contract.js";

const client = {
  async rank(site, ask) {
    const voyage = new VoyageAIClient({ apiKey: site.key, environment: `${site.url}/v1` });
    const { data } = await voyage.rerank(
      {
        model: ask.model,
        query: ask.query,
        documents: ask.passages,
        topK: ask.topN,
        ...(ask.echo && { returnDocuments: true }),
      },
      { maxRetries: ask.retries ? 2 : 0 },
    );
    return data.map((result) => ({ index: result.index, score: result.relevanceScore, text: result.document }));
  },
  isOwn: (error) => error.constructor === VoyageAIError,
  status: (error) => error.statusCode,
  message: (error) => error.body.detail,
};

const parts = ["ranks", "topN", "emptyList", "echoes", "refusals", "waitsOutRateLimits"];
contract("voyageai VoyageAIClient", client, parts);

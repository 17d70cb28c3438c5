// @mixedbread/sdk: `POST /v1/reranking`.
import {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  Mixedbread,
  NotFoundError,
  RateLimitError,
} from "@mixedbread/sdk";

import { byClass, contract } from "./support/contract.js";

const client = {
  async rank(site, ask) {
    const mixedbread = new Mixedbread({ apiKey: site.key, baseURL: site.url, maxRetries: ask.retries ? 2 : 0 });
    const { data } = await mixedbread.rerank({
      model: ask.model,
      query: ask.query,
      input: ask.passages,
      top_k: ask.topN,
      return_input: ask.echo,
    });
    return data.map((result) => ({ index: result.index, score: result.score, text: result.input ?? undefined }));
  },
  isOwn: byClass({
    400: BadRequestError,
    401: AuthenticationError,
    404: NotFoundError,
    413: APIError,
    429: RateLimitError,
    502: InternalServerError,
  }),
  status: (error) => error.status,
  message: (error) => error.message,
};

const parts = ["ranks", "topN", "emptyList", "echoes", "refusals", "waitsOutRateLimits"];
contract("@mixedbread/sdk", client, parts);

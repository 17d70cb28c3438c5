// `rerank` of the Vercel AI SDK, whichever the provider. It short-circuits the empty list.
import { APICallError, rerank } from "ai";

export const aiSdk = (provider) => ({
  async rank(site, ask) {
    const { ranking } = await rerank({
      model: provider(site).reranking(ask.model),
      query: ask.query,
      documents: ask.passages,
      topN: ask.topN,
      maxRetries: ask.retries ? 2 : 0,
    });
    return ranking.map((result) => ({ index: result.originalIndex, score: result.score }));
  },
  // Each provider brings a class of its own of this name; this is the SDK's way to tell.
  isOwn: (error) => APICallError.isInstance(error),
  status: (error) => error.statusCode,
  message: (error) => error.message,
});

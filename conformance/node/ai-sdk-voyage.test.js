// Vercel AI SDK with voyage-ai-provider: `POST {baseURL}/rerank`; `object` must be "list".
import { createVoyage } from "voyage-ai-provider";

import { aiSdk } from "./support/ai-sdk.js";
import { contract } from "./support/contract.js";

const client = {
  ...aiSdk((site) => createVoyage({ apiKey: site.key, baseURL: `${site.url}/v1` })),
  // The provider looks for its message where OpenAI has it, and shows the status text otherwise.
  message: () => null,
};

contract("ai with voyage-ai-provider", client, ["ranks", "topN", "refusals", "waitsOutRateLimits"]);

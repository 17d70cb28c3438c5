// Vercel AI SDK with @ai-sdk/cohere: `POST {baseURL}/rerank`; the key `meta` must be there.
import { createCohere } from "@ai-sdk/cohere";

import { aiSdk } from "./support/ai-sdk.js";
import { contract } from "./support/contract.js";

const client = aiSdk((site) => createCohere({ apiKey: site.key, baseURL: `${site.url}/v2` }));

contract("ai with @ai-sdk/cohere", client, ["ranks", "topN", "refusals", "waitsOutRateLimits"]);

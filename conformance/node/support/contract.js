// What every client must see; the same as support/contract.py. A test file names the parts that its client can show.
//
// A client is how a user would construct it, call it and read its answer:
// { rank(site, ask) → [{ index, score, text? }], isOwn(error, status), status(error), message(error) }
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";

import { freshQuery, ranking } from "./scores.js";
import { startStage } from "./stage.js";

const PASSAGES = Array.from({ length: 7 }, (_, number) => `passage ${number}`);
// Equal passages and ones without a letter: each must keep its own index.
const AWKWARD_PASSAGES = ["twin", "", "single", "twin", " \n", "twin", "naïve — 漢字 🦀"];
const OVER_THE_LIMIT = "x".repeat(8192);
const RATE_LIMITED = { status: 429, headers: { "Retry-After": "1" }, body: '{"message": "too many requests"}' };
const BROKEN = { status: 500, body: '{"message": "internal server error"}' };

const ask = (changes = {}) => ({
  query: freshQuery(),
  passages: PASSAGES,
  topN: undefined,
  model: "m",
  echo: false,
  // Whether the client may do what it does by itself after a failure. Off wherever it can be switched off.
  retries: false,
  ...changes,
});

const SITUATIONS = [
  { name: "blank query", status: 400, says: "query is blank", changes: { query: "   " } },
  { name: "wrong key", status: 401, says: "key", site: "wrong_key" },
  { name: "unknown model", status: 404, says: "there is no model unheard-of", changes: { model: "unheard-of" } },
  { name: "body too large", status: 413, says: "max_body_bytes", changes: { passages: [OVER_THE_LIMIT] } },
  { name: "rate limited", status: 429, says: "too many requests", site: "open", upstream: RATE_LIMITED },
  { name: "upstream broken", status: 502, says: "internal server error", site: "open", upstream: BROKEN },
];

function assertRanking(hits, passages, topN) {
  const expected = ranking(passages, topN);
  assert.deepEqual(
    hits.map((hit) => hit.index),
    expected.map((hit) => hit.index),
  );
  hits.forEach((hit, place) => assert.ok(Math.abs(hit.score - expected[place].score) < 1e-6, `score at ${place}`));
}

const PARTS = {
  ranks(client, stage) {
    it("the ranking is the model's", async () => {
      assertRanking(await client.rank(stage().sites.open, ask()), PASSAGES);
    });
    it("a long list is complete", async () => {
      const passages = Array.from({ length: 150 }, (_, number) => `passage ${number} of a long list`);
      assertRanking(await client.rank(stage().sites.open, ask({ passages })), passages);
    });
    it("duplicates and blanks keep their index", async () => {
      const hits = await client.rank(stage().sites.open, ask({ passages: AWKWARD_PASSAGES }));
      assertRanking(hits, AWKWARD_PASSAGES);
      const sent = (await stage().upstream.calls()).flatMap((call) => call.documents);
      assert.deepEqual(sent.sort(), [...new Set(AWKWARD_PASSAGES.filter((passage) => passage.trim()))].sort());
    });
    it("the right key is let in", async () => {
      assertRanking(await client.rank(stage().sites.guarded, ask()), PASSAGES);
    });
    it("a model name nobody configured is served", async () => {
      const model = "vendor/reranker-v9-multilingual";
      assertRanking(await client.rank(stage().sites.open, ask({ model })), PASSAGES);
    });
  },

  topN(client, stage) {
    it("the best are kept", async () => {
      assertRanking(await client.rank(stage().sites.open, ask({ topN: 3 })), PASSAGES, 3);
    });
    it("more than there are is all", async () => {
      assertRanking(await client.rank(stage().sites.open, ask({ topN: PASSAGES.length + 5 })), PASSAGES);
    });
  },

  // Only for clients that do send the empty list.
  emptyList(client, stage) {
    it("nothing to rank is nothing", async () => {
      assert.deepEqual(await client.rank(stage().sites.open, ask({ passages: [] })), []);
    });
  },

  echoes(client, stage) {
    it("documents come back on request", async () => {
      const hits = await client.rank(stage().sites.open, ask({ passages: AWKWARD_PASSAGES, echo: true }));
      assertRanking(hits, AWKWARD_PASSAGES);
      for (const hit of hits) assert.equal(hit.text, AWKWARD_PASSAGES[hit.index]);
    });
    it("documents stay away unasked", async () => {
      for (const hit of await client.rank(stage().sites.open, ask())) assert.equal(hit.text, undefined);
    });
  },

  refusals(client, stage) {
    for (const { name, status, says, site = "guarded", changes, upstream } of SITUATIONS) {
      it(`an error is the client's own: ${name}`, async () => {
        if (upstream) await stage().upstream.replyAlways(upstream);
        await assert.rejects(client.rank(stage().sites[site], ask(changes)), (error) => {
          assert.ok(client.isOwn(error, status), `${error.constructor.name}: ${error}`);
          assert.equal(client.status(error), status);
          const message = client.message(error);
          assert.ok(message === null || message.includes(says), message);
          return true;
        });
      });
    }
  },

  waitsOutRateLimits(client, stage) {
    it("a passing 429 is retried", async () => {
      await stage().upstream.replyNext(RATE_LIMITED);
      assertRanking(await client.rank(stage().sites.open, ask({ retries: true })), PASSAGES);
      assert.equal((await stage().upstream.calls()).length, 2);
    });
  },
};

// For clients with a class for each status: exactly that class.
export const byClass = (classes) => (error, status) => error.constructor === classes[status];

export function contract(name, client, parts) {
  describe(name, () => {
    let stage;
    before(async () => {
      stage = await startStage();
    });
    after(() => stage?.stop());
    beforeEach(() => stage.upstream.reset());
    for (const part of parts) PARTS[part](client, () => stage);
  });
}

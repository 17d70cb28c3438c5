// The snippets of docs/clients.md, before a rerankd without any configuration or key.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import { startStage } from "./support/stage.js";

// The address that the page gives, and that a run replaces.
const ADDRESS = "http://127.0.0.1:8787";
const BLOCK = /^<!-- snippet: (\S+), suite node -->\n```js\n(.*?)^```$/gms;

const page = await readFile(join(process.env.CONFORMANCE, "..", "docs", "clients.md"), "utf8");

describe("snippets", () => {
  let stage;
  before(async () => {
    stage = await startStage();
  });
  after(() => stage?.stop());
  const snippets = [...page.matchAll(BLOCK)];
  assert.ok(snippets.length > 0);
  for (const [, name, code] of snippets) {
    it(`${name} finds the capital`, async () => {
      // Beside this file, where its modules are found.
      const file = join(import.meta.dirname, `snippet-${name}.mjs`);
      await writeFile(file, code.replaceAll(ADDRESS, stage.sites.bare.url));
      const { stdout } = await promisify(execFile)(process.execPath, [file]);
      assert.match(stdout, /Seoul/);
    });
  }
});

// The form of the page at `/`: asks `/rerank` and shows its answer. Addresses are relative, so that a prefix of a proxy
// in front is kept. A key stays in its field: it is stored nowhere.
"use strict";

const form = document.getElementById("form");
const keyLabel = form.querySelector(".key");

/** Sends a request with the key, if one is given; an answer of 401 shows the field for it. */
async function ask(path, options = {}) {
  const headers = { accept: "application/json", ...options.headers };
  if (form.key.value) headers.authorization = `Bearer ${form.key.value}`;
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) keyLabel.hidden = false;
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Error(`the answer (status ${response.status}) is not JSON`);
  }
  if (!response.ok) throw new Error(body.detail || body.message || `status ${response.status}`);
  return body;
}

/** An element with a class and a text. */
function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

/** The request that the form describes. */
function request() {
  const documents = form.passages.value.split("\n").filter((line) => line.trim() !== "");
  const body = { model: form.model.value, query: form.query.value, documents };
  if (form.top_n.value) body.top_n = Number(form.top_n.value);
  return body;
}

/** One row of the ranking. The bars of scores share one scale: from the lowest of 0 and the scores to the highest of 1 and them. */
function row(result, rank, documents, bounds) {
  const tr = document.createElement("tr");
  const was = result.index + 1;
  tr.append(element("td", String(rank), "number"));
  tr.append(element("td", was === rank ? String(was) : `${was} ${was > rank ? "↑" : "↓"}`, was > rank ? "number up" : "number"));
  const score = element("td", "", "score");
  if (typeof result.relevance_score === "number") {
    score.append(result.relevance_score.toFixed(4));
    const meter = document.createElement("meter");
    [meter.min, meter.max] = bounds;
    meter.value = result.relevance_score;
    meter.setAttribute("aria-hidden", "true");
    score.append(meter);
  } else {
    score.append("–");
  }
  tr.append(score, element("td", documents[result.index] ?? ""));
  return tr;
}

/** The line above the ranking: who answered, on which scale, from where, in what time. */
function summarise(answer) {
  const meta = answer.meta.rerankd;
  const summary = document.getElementById("summary");
  const who = meta.reranked ? `${meta.upstream}/${meta.upstream_model}` : "not reranked: the passages stand in input order";
  const parts = [`${meta.pairs.hit} of ${meta.pairs.total} cached`, `${meta.timings_ms.total.toFixed(1)} ms`];
  if (meta.score_scale) parts.unshift(`scale ${meta.score_scale}`);
  if (meta.degraded.length > 0) parts.push(`degraded: ${meta.degraded.join(", ")}`);
  const spent = meta.cost?.spent_usd;
  if (spent) parts.push(`$${spent}`);
  summary.replaceChildren(element("strong", who), ` · ${parts.join(" · ")}`);
}

function show(body, answer) {
  const scores = answer.results.map((result) => result.relevance_score).filter((score) => typeof score === "number");
  const bounds = [Math.min(0, ...scores), Math.max(1, ...scores)];
  summarise(answer);
  const rows = answer.results.map((result, at) => row(result, at + 1, body.documents, bounds));
  document.getElementById("ranking").replaceChildren(...rows);
  const warnings = document.getElementById("warnings");
  warnings.replaceChildren(...answer.meta.rerankd.warnings.map((warning) => element("li", warning)));
  warnings.hidden = warnings.childElementCount === 0;
  const address = new URL("rerank", document.baseURI);
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  const key = keyLabel.hidden ? "" : " -H 'Authorization: Bearer …'";
  document.getElementById("curl").textContent = `curl -s ${address}${key} -d '${quoted}'`;
  document.getElementById("answer").hidden = false;
}

function complain(error) {
  const fault = document.getElementById("fault");
  fault.textContent = error ? error.message : "";
  fault.hidden = !error;
}

async function rerank(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  const body = request();
  button.disabled = true;
  complain(null);
  try {
    const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    show(body, await ask("rerank", options));
  } catch (error) {
    document.getElementById("answer").hidden = true;
    complain(error);
  } finally {
    button.disabled = false;
  }
}

async function listModels() {
  const rows = document.getElementById("model-rows");
  const fill = (text) => {
    const cell = element("td", text, "soft");
    cell.colSpan = 3;
    rows.replaceChildren(document.createElement("tr"));
    rows.firstChild.append(cell);
  };
  try {
    const { data } = await ask("v1/models");
    const chosen = form.model.value;
    form.model.replaceChildren(...data.map(({ id }) => new Option(id, id, false, id === chosen)));
    rows.replaceChildren(...data.map(({ id, targets, score_scale }) => {
      const tr = document.createElement("tr");
      tr.append(element("td", id), element("td", targets.join(", ")), element("td", score_scale ?? ""));
      return tr;
    }));
  } catch (error) {
    fill(error.message);
  }
}

form.addEventListener("submit", rerank);
form.key.addEventListener("change", listModels);
listModels();

"""What a run is worth, by other people's programs and by definitions."""

import math
from itertools import chain
from pathlib import Path
from statistics import fmean

import ir_measures
import pytrec_eval
from ir_measures import AP, RR, P, R, nDCG

from support.contest import Table

#: Figures agree to this.
CLOSE = 1e-6


def read_run(path: Path) -> Table:
    with path.open() as file:
        return pytrec_eval.parse_run(file)


def by_pytrec_eval(judgments: Table, run: Table, k: int) -> dict[str, dict[str, float]]:
    """Every metric of rerankd for every query of the run, under rerankd's name."""
    asked = {f"ndcg_cut.{k}", f"P.{k}", f"recall.{k}", "map", "recip_rank"}
    judged = {query: judgments[query] for query in run}
    counted = pytrec_eval.RelevanceEvaluator(judged, asked).evaluate(run)
    return {query: _renamed(values, k) for query, values in counted.items()}


def _renamed(values: dict[str, float], k: int) -> dict[str, float]:
    precision, recall, reciprocal = values[f"P_{k}"], values[f"recall_{k}"], values["recip_rank"]
    both = precision + recall
    return {
        f"ndcg@{k}": values[f"ndcg_cut_{k}"],
        # trec_eval has no cut of this one.
        f"mrr@{k}": reciprocal if reciprocal * (k + 0.5) > 1 else 0.0,
        "map": values["map"],
        f"p@{k}": precision,
        f"r@{k}": recall,
        f"f1@{k}": 2 * precision * recall / both if both else 0.0,
    }


def by_ir_measures(judgments: Table, path: Path, k: int) -> dict[str, dict[str, float]]:
    """The metrics whose definitions are rerankd's."""
    run = list(ir_measures.read_trec_run(str(path)))
    queries = {scored.query_id for scored in run}
    judged = {query: judgments[query] for query in queries}
    names = {nDCG @ k: f"ndcg@{k}", P @ k: f"p@{k}", R @ k: f"r@{k}", AP: "map"}
    values: dict[str, dict[str, float]] = {}
    for metric in ir_measures.iter_calc(list(names), judged, run):
        values.setdefault(metric.query_id, {})[names[metric.measure]] = metric.value
    return values


def order_of_pytrec_eval(run: Table) -> dict[str, list[str]]:
    return _order(run, _reciprocal_ranks_of_pytrec_eval)


def order_of_ir_measures(path: Path) -> dict[str, list[str]]:
    run: Table = {}
    for scored in ir_measures.read_trec_run(str(path)):
        run.setdefault(scored.query_id, {})[scored.doc_id] = scored.score
    return _order(run, _reciprocal_ranks_of_ir_measures)


def _order(run: Table, reciprocal_ranks) -> dict[str, list[str]]:
    """Neither tells its order, but the rank of the one relevant passage: each passage in turn is that one."""
    keys = {
        f"{at} {place}": (query, id) for at, query in enumerate(run) for place, id in enumerate(run[query])
    }
    ranks = reciprocal_ranks(
        {key: {id: 1} for key, (_, id) in keys.items()}, {key: run[query] for key, (query, _) in keys.items()}
    )
    orders: dict[str, list[str]] = {query: [] for query in run}
    for key in sorted(keys, key=lambda key: -ranks[key]):
        query, id = keys[key]
        orders[query].append(id)
    return orders


def _reciprocal_ranks_of_pytrec_eval(judgments: Table, run: Table) -> dict[str, float]:
    counted = pytrec_eval.RelevanceEvaluator(judgments, {"recip_rank"}).evaluate(run)
    return {query: values["recip_rank"] for query, values in counted.items()}


def _reciprocal_ranks_of_ir_measures(judgments: Table, run: Table) -> dict[str, float]:
    return {metric.query_id: metric.value for metric in ir_measures.iter_calc([RR], judgments, run)}


def recall_ceiling(judgments: Table, candidates: dict[str, list[str]]) -> float:
    """The mean share of the relevant passages that are candidates, over queries that have any."""
    shares = []
    for query, found in candidates.items():
        relevant = {passage for passage, grade in judgments[query].items() if grade > 0}
        if relevant:
            shares.append(len(relevant & set(found)) / len(relevant))
    return fmean(shares) if shares else 0.0


def by_autorag(groups: list[list[str]], returned: list[str]) -> dict[str, float]:
    """AutoRAG's retrieval metrics, as its documentation defines them; `returned` is cut."""
    sets = [set(group) for group in groups]
    is_wanted = [any(id in group for group in sets) for id in returned]
    recall = sum(any(id in group for id in returned) for group in sets) / len(sets)
    precision = len({id for id, wanted in zip(returned, is_wanted, strict=True) if wanted}) / len(returned)
    gain = sum((2**wanted - 1) / math.log2(at + 2) for at, wanted in enumerate(is_wanted))
    ideal_count = min(len(list(chain.from_iterable(groups))), len(returned))
    reciprocal = [
        next((1 / (at + 1) for at, id in enumerate(returned) if id in group), 0.0) for group in sets
    ]
    values = {
        "recall": recall,
        "precision": precision,
        "f1": 2 * recall * precision / (recall + precision) if recall + precision else 0.0,
        "ndcg": gain / sum(1 / math.log2(at + 2) for at in range(ideal_count)),
        "mrr": sum(reciprocal) / len(sets),
        "map": fmean(_average_precision(group, returned) for group in sets),
    }
    return {f"autorag_retrieval_{name}": value for name, value in values.items()}


def _average_precision(group: set[str], returned: list[str]) -> float:
    hits = [id in group for id in returned]
    precisions = [sum(hits[: at + 1]) / (at + 1) for at, hit in enumerate(hits) if hit]
    return fmean(precisions) if precisions else 0.0

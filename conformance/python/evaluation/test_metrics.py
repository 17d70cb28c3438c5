"""The figures of `rerankd eval` against pytrec_eval and ir_measures, on its own run files."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest

from support.collections import Drawn, draw_beir
from support.contest import LOCAL, NONE, SCRIPTED, SHIPPED, Outcome, Table, evaluate, table
from support.metrics import (
    CLOSE,
    by_ir_measures,
    by_pytrec_eval,
    order_of_ir_measures,
    order_of_pytrec_eval,
    read_run,
    recall_ceiling,
)
from support.scores import ranking
from support.stage import Stage

#: The last is beyond the longest list.
DEPTHS = [1, 3, 10, 100]
#: Seed and number of queries.
COLLECTIONS = [(1, 100), (2, 100), (3, 100), (4, 100), (5, 1), (6, 1)]


@dataclass(frozen=True)
class Contest:
    judgments: Table
    candidates: dict[str, list[str]]
    outcomes: dict[int, Outcome]


def assert_figures(outcome: Outcome, judgments: Table, k: int) -> None:
    queries = outcome.query_ids()
    for name, contestant in outcome.contestants().items():
        path, told = outcome.run_file(name), outcome.by_query(name)
        expected = by_pytrec_eval(judgments, read_run(path), k)
        # A query without candidates is in no run, and counts 0: `trec_eval -c`.
        nothing = dict.fromkeys(next(iter(expected.values())), 0.0)
        empty = {query for query, found in outcome.rankings(name).items() if not found}
        assert set(expected) == set(queries) - empty, name
        expected.update(dict.fromkeys(empty, nothing))
        assert told == {query: pytest.approx(expected[query], abs=CLOSE) for query in queries}, name
        second = by_ir_measures(judgments, path, k)
        assert set(second) == set(queries) - empty, name
        for query, values in second.items():
            assert {metric: told[query][metric] for metric in values} == pytest.approx(values, abs=CLOSE), (
                name
            )
        means = {
            metric: fmean(expected[query][metric] for query in queries) for metric in expected[queries[0]]
        }
        estimates = {metric: estimate["mean"] for metric, estimate in contestant["metrics"].items()}
        assert estimates == pytest.approx(means, abs=CLOSE), name


def assert_order(outcome: Outcome) -> None:
    for name in outcome.contestants():
        path, rankings = outcome.run_file(name), outcome.rankings(name)
        found = {query: ranking for query, ranking in rankings.items() if ranking}
        assert lines_of(path) == found, name
        assert order_of_pytrec_eval(read_run(path)) == found, name
        assert order_of_ir_measures(path) == found, name


def lines_of(path: Path) -> dict[str, list[str]]:
    """The passages of each query by the lines of the file; the ranks written there must be those."""
    orders: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        query, _, passage, rank, _, _ = line.split()
        orders.setdefault(query, []).append(passage)
        assert int(rank) == len(orders[query])
    return orders


@pytest.fixture(scope="module", params=COLLECTIONS, ids=lambda it: f"seed{it[0]}x{it[1]}")
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw_beir(tmp_path_factory.mktemp("drawn") / "collection", *request.param)


@pytest.fixture(scope="module")
def contest(drawn: Drawn, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Contest:
    out = tmp_path_factory.mktemp("out")
    outcomes = {
        k: evaluate(drawn.folder, out / str(k), "--k", str(k), upstream=stage.upstream.url) for k in DEPTHS
    }
    candidates = {query: drawn.candidates[query] for query in drawn.evaluated()}
    return Contest(drawn.judgments, candidates, outcomes)


class TestDrawn:
    @pytest.mark.parametrize("k", DEPTHS)
    def test_figures(self, contest: Contest, k: int) -> None:
        assert set(contest.outcomes[k].contestants()) == {NONE, LOCAL, SCRIPTED}
        assert_figures(contest.outcomes[k], contest.judgments, k)

    def test_run_files_keep_the_order(self, contest: Contest) -> None:
        assert_order(contest.outcomes[10])

    def test_orders(self, contest: Contest, drawn: Drawn) -> None:
        """The first stage by score, then rank or line; a model by score, then first stage."""
        outcome = contest.outcomes[10]
        assert outcome.rankings(NONE) == contest.candidates
        scripted = outcome.rankings(SCRIPTED)
        for query, found in contest.candidates.items():
            best = ranking([drawn.passages[passage] for passage in found])
            assert scripted[query] == [found[hit.index] for hit in best], query

    def test_summary(self, contest: Contest, drawn: Drawn) -> None:
        told, candidates = contest.outcomes[10].results["collection"], contest.candidates
        assert contest.outcomes[10].query_ids() == list(candidates)
        assert told["queries"] == len(candidates)
        assert told["unjudged_queries"] == len(drawn.candidates) - len(candidates)
        assert told["queries_without_candidates"] == sum(not found for found in candidates.values())
        assert told["passages"] == len(drawn.passages)
        assert told["candidates_per_query"] == pytest.approx(fmean(map(len, candidates.values())))
        assert told["recall_ceiling"] == pytest.approx(
            recall_ceiling(contest.judgments, candidates), abs=CLOSE
        )


class TestShipped:
    @pytest.mark.parametrize("k", DEPTHS)
    def test_figures(self, tmp_path: Path, k: int) -> None:
        outcome = evaluate(SHIPPED, tmp_path, "--candidates", "judged", "--k", str(k))
        judgments = table(SHIPPED / "qrels" / "test.tsv")
        assert set(outcome.contestants()) == {NONE, LOCAL}
        assert outcome.query_ids() == list(judgments)
        assert_figures(outcome, judgments, k)
        assert_order(outcome)
        assert outcome.results["collection"]["recall_ceiling"] == pytest.approx(1, abs=CLOSE)


class TestCollectionsAreHard:
    def test_every_difficulty_is_drawn(self, tmp_path: Path) -> None:
        """Else the tests above would say less than they seem to."""
        drawn = [draw_beir(tmp_path / str(seed), seed, count) for seed, count in COLLECTIONS]
        evaluated = [(it, query) for it in drawn for query in it.evaluated()]
        assert len(evaluated) > 300

        def count(is_so) -> int:
            return sum(
                bool(is_so(it.judgments[query], it.candidates[query], it.passages)) for it, query in evaluated
            )

        assert count(lambda judged, _, __: not any(judged.values())) > 20, "nothing relevant"
        assert count(lambda judged, found, _: set(found) - set(judged)) > 20, "unjudged candidates"
        assert count(lambda judged, found, _: any(judged[it] for it in set(judged) - set(found))) > 20, (
            "missed"
        )
        assert count(lambda judged, _, passages: set(judged) - set(passages)) > 20, (
            "judged, not in the corpus"
        )
        assert count(lambda _, found, passages: len({passages[it] for it in found}) < len(found)) > 20, "ties"
        assert count(lambda _, found, __: not found) > 5, "no candidates"
        assert sum(len(it.candidates) - len(it.evaluated()) for it in drawn) > 5, "left out"

"""`--autorag` against AutoRAG's definitions."""

from pathlib import Path
from statistics import fmean

import pytest

from support.collections import draw_groups
from support.contest import SHIPPED, Outcome, evaluate, table
from support.metrics import CLOSE, by_autorag

DEPTHS = [1, 3, 10, 100]


def assert_figures(outcome: Outcome, groups: dict[str, list[list[str]]], k: int) -> None:
    assert set(outcome.query_ids()) == set(groups)
    for name, contestant in outcome.contestants().items():
        rankings, told = outcome.rankings(name), outcome.by_query(name)
        expected = {query: by_autorag(groups[query], rankings[query][:k]) for query in groups}
        for query, values in expected.items():
            found = {metric: value for metric, value in told[query].items() if metric.startswith("autorag_")}
            assert found == pytest.approx(values, abs=CLOSE), (name, query)
        for metric in next(iter(expected.values())):
            mean = fmean(values[metric] for values in expected.values())
            assert contestant["metrics"][metric]["mean"] == pytest.approx(mean, abs=CLOSE), (name, metric)


@pytest.mark.parametrize("k", DEPTHS)
class TestAutorag:
    def test_shipped(self, tmp_path: Path, k: int) -> None:
        outcome = evaluate(SHIPPED, tmp_path, "--candidates", "judged", "--autorag", "--k", str(k))
        judgments = table(SHIPPED / "qrels" / "test.tsv")
        # Where nothing is said of groups, each relevant passage is one.
        groups = {query: [[it] for it in judged if judged[it]] for query, judged in judgments.items()}
        assert_figures(outcome, groups, k)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_groups(self, tmp_path: Path, k: int, seed: int) -> None:
        groups = draw_groups(tmp_path / "groups.jsonl", seed, 60)
        assert_figures(evaluate(tmp_path / "groups.jsonl", tmp_path, "--autorag", "--k", str(k)), groups, k)

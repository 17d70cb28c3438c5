"""Intervals, and what comes of the same evaluation once more."""

import json
from pathlib import Path

import numpy
import pytest

from support.collections import draw_beir
from support.contest import SHIPPED, Outcome, evaluate
from support.upstream import Upstream

#: What depends on the clock.
MEASURED = ["latency", "cost", "on_pareto_front"]


def without_record(outcome: Outcome) -> dict:
    """The results without the time and the command of the run."""
    results = json.loads((outcome.folder / "results.json").read_text())
    del results["run"]
    return results


def without_times(outcome: Outcome) -> str:
    results = without_record(outcome)
    for contestant in results["contestants"]:
        for field in MEASURED:
            del contestant[field]
    return json.dumps(results)


class TestIntervals:
    def test_they_hold_the_mean_and_are_those_of_a_bootstrap(
        self, tmp_path: Path, upstream: Upstream
    ) -> None:
        outcome = evaluate(SHIPPED, tmp_path, "--candidates", "judged", upstream=upstream.url)
        chance = numpy.random.default_rng(7)
        for contestant in outcome.contestants().values():
            for metric, estimate in contestant["metrics"].items():
                assert estimate["low"] < estimate["mean"] < estimate["high"], metric
                values = numpy.array([values[metric] for values in contestant["by_query"]])
                means = chance.choice(values, (10_000, len(values))).mean(axis=1)
                # Five standard errors of the two quantiles' difference.
                near = 0.05 * (estimate["high"] - estimate["low"])
                assert estimate["low"] == pytest.approx(numpy.quantile(means, 0.025), abs=near), metric
                assert estimate["high"] == pytest.approx(numpy.quantile(means, 0.975), abs=near), metric

    def test_one_query_has_no_interval(self, tmp_path: Path) -> None:
        drawn = draw_beir(tmp_path / "one", 10, 1)
        for contestant in evaluate(drawn.folder, tmp_path / "out").contestants().values():
            for estimate in contestant["metrics"].values():
                assert estimate["low"] is None
                assert estimate["high"] is None


class TestRepetition:
    def test_two_folders_say_the_same(self, tmp_path: Path, upstream: Upstream) -> None:
        drawn = draw_beir(tmp_path / "drawn", 8, 60)
        first, second = (
            evaluate(drawn.folder, tmp_path / name, "--autorag", upstream=upstream.url)
            for name in ["first", "second"]
        )
        assert without_times(first) == without_times(second)
        for name in first.contestants():
            assert first.run_file(name).read_bytes() == second.run_file(name).read_bytes()

    def test_once_more_in_the_same_folder_asks_nobody(self, tmp_path: Path, upstream: Upstream) -> None:
        drawn = draw_beir(tmp_path / "drawn", 8, 60)
        files = []
        for _ in range(2):
            outcome = evaluate(drawn.folder, tmp_path / "out", upstream=upstream.url)
            files.append(without_record(outcome))
            asked = len(upstream.calls)
            upstream.reset()
        assert files[0] == files[1]
        assert asked == 0

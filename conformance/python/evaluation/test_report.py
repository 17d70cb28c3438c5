"""The report of three contestants, in a browser."""

import subprocess
import sys
from pathlib import Path

from support.contest import LOCAL, NONE, SCRIPTED, SHIPPED, evaluate
from support.upstream import Upstream

CHECK = Path(__file__).resolve().parents[2] / "report" / "check"


def test_report(tmp_path: Path, upstream: Upstream) -> None:
    outcome = evaluate(SHIPPED, tmp_path, "--candidates", "judged", "--autorag", upstream=upstream.url)
    assert set(outcome.contestants()) == {NONE, LOCAL, SCRIPTED}
    checked = subprocess.run(
        [sys.executable, CHECK, tmp_path / "report.html"],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "nothing asked for" in checked.stdout

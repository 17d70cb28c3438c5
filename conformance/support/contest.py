"""`rerankd eval` as a program: started in a clean environment, and what it leaves in its run folder."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support.service import binary

#: A model inside the process, which is always there.
LOCAL = "local/lexical"
#: The model of the scripted upstream.
SCRIPTED = "scripted"
#: The order of the first stage, which always takes part.
NONE = "none"

SHIPPED = Path(__file__).resolve().parents[2] / "examples" / "eval"
PATIENCE_SECONDS = 25

_CONFIG = """
[upstreams.up]
provider = "cohere"
base_url = "{upstream}"
api_key = "env:UPSTREAM_KEY"

[models.scripted]
targets = [{{ upstream = "up", model = "rerank-v3.5" }}]
"""

#: Judgments or a run: query to passage to grade or score.
Table = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """The run folder of one evaluation."""

    folder: Path
    results: dict

    def contestants(self) -> dict[str, dict]:
        return {contestant["name"]: contestant for contestant in self.results["contestants"]}

    def query_ids(self) -> list[str]:
        return [query["id"] for query in self.results["queries"]]

    def rankings(self, name: str) -> dict[str, list[str]]:
        """Query to ids of passages, best first, as `results.json` has them."""
        rankings = self.contestants()[name]["rankings"]
        return {
            query["id"]: [query["candidates"][place]["id"] for place in ranking]
            for query, ranking in zip(self.results["queries"], rankings, strict=True)
        }

    def by_query(self, name: str) -> dict[str, dict[str, float]]:
        return dict(zip(self.query_ids(), self.contestants()[name]["by_query"], strict=True))

    def run_file(self, name: str) -> Path:
        return self.folder / "runs" / f"{quote(name, safe='')}.run"


def evaluate(data: Path, out: Path, *arguments: str, upstream: str | None = None) -> Outcome:
    """Runs `rerankd eval` over `local/lexical` and, if there is one, a scripted `upstream`."""
    out.mkdir(parents=True, exist_ok=True)
    command = [binary(), "eval", "--data", data, "--out", out, *arguments]
    # Nothing that happens to be set or configured here may take part.
    environment = {}
    if upstream:
        config = out / "rerankd.toml"
        config.write_text(_CONFIG.format(upstream=upstream))
        command += ["--config", config, "--models", f"{LOCAL},{SCRIPTED}"]
        environment["UPSTREAM_KEY"] = "conformance-upstream-key"
    else:
        command += ["--models", LOCAL]
    ended = subprocess.run(
        command,
        cwd=out,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Outcome(out, json.loads((out / "results.json").read_text()))


def table(path: Path) -> Table:
    """The judgments of a BEIR folder."""
    judgments: Table = {}
    for line in path.read_text().splitlines()[1:]:
        query, passage, grade = line.split("\t")
        judgments.setdefault(query, {})[passage] = int(grade)
    return judgments

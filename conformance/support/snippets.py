"""The blocks of code in docs/clients.md, run as they stand there but for the address.

A block is announced by a comment on the line before it: `<!-- snippet: NAME, suite SUITE -->`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
#: The address that the page gives, and that a run replaces.
ADDRESS = "http://127.0.0.1:8787"
#: Languages whose blocks must be announced.
LANGUAGES = ("python", "js", "go", "java")
#: Go compiles its library first.
PATIENCE_SECONDS = 120
#: Where programs are sought: beside this Python, as packages bring them, and on the machine.
PROGRAMS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

_BLOCK = re.compile(r"(?:^<!-- snippet: (\S+), suite (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A block of code. `name` and `suite` are `None` if it is not announced."""

    name: str | None
    suite: str | None
    language: str
    code: str

    def __str__(self) -> str:
        return str(self.name)


def all_snippets() -> list[Snippet]:
    snippets = [Snippet(*found) for found in _BLOCK.findall(PAGE.read_text())]
    return [snippet for snippet in snippets if snippet.language in LANGUAGES]


def snippets_of(suite: str) -> list[Snippet]:
    return [snippet for snippet in all_snippets() if snippet.suite == suite]


def output_of(snippet: Snippet, url: str) -> str:
    """What the code prints. Without its language on this machine: the answer to the body that it would send."""
    code = snippet.code.replace(ADDRESS, url)
    command = {
        "python": [sys.executable],
        "go": [go, "run"] if (go := shutil.which("go", path=PROGRAMS)) else None,
        "java": ["java"] if shutil.which("javac") else None,
    }[snippet.language]
    if command is None:
        return _answer_to_body(code)
    with tempfile.TemporaryDirectory(prefix="rerankd-snippet-") as directory:
        file = Path(directory) / {"python": "snippet.py", "go": "snippet.go", "java": "Rerank.java"}[snippet.language]
        file.write_text(code)
        run = subprocess.run(
            [*command, str(file)], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, cwd=directory
        )
    assert run.returncode == 0, run.stderr
    return run.stdout


def _answer_to_body(code: str) -> str:
    """Posts the JSON that stands in the code to the address that stands there."""
    body = re.search(r"\{\"query\".*?true\}", code, re.DOTALL)[0]
    address = re.search(r"http://[^\"]+", code)[0]
    request = urllib.request.Request(address, body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return answer.read().decode()

"""One running rerankd."""

import os
import tempfile
from pathlib import Path

from support.program import Program

#: How long the binary may take to say where it listens.
PATIENCE_SECONDS = 20


class Service:
    """Starts `RERANKD_BIN` with a configuration on a free port; `stop` ends that process and no other."""

    def __init__(self, config: str, environment: dict[str, str]) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="rerankd-conformance-")
        file = Path(self._directory.name) / "rerankd.toml"
        file.write_text(config)
        command = [binary(), "serve", "--config", file, "--listen", "127.0.0.1:0"]
        try:
            self._program = Program(
                command, {**_inherited(), **environment}, r"listens on (http://\S+)", PATIENCE_SECONDS
            )
        except BaseException:
            self._directory.cleanup()
            raise
        self.url = self._program.url

    def stop(self) -> None:
        try:
            self._program.stop()
        finally:
            self._directory.cleanup()


def binary() -> str:
    path = os.environ.get("RERANKD_BIN")
    if not path:
        raise RuntimeError("RERANKD_BIN must be the path of a rerankd binary; conformance/run sets it")
    return path


def _inherited() -> dict[str, str]:
    """The environment without settings of rerankd that happen to be there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RERANKD")}

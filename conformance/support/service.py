"""One running rerankd."""

import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

#: How long the binary may take to say where it listens, and to end.
PATIENCE_SECONDS = 20


class Service:
    """Starts `RERANKD_BIN` with a configuration on a free port; `stop` ends that process and no other."""

    def __init__(self, config: str, environment: dict[str, str]) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="rerankd-conformance-")
        directory = Path(self._directory.name)
        (directory / "rerankd.toml").write_text(config)
        self._log = directory / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [binary(), "serve", "--config", directory / "rerankd.toml", "--listen", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**_inherited(), **environment},
                text=True,
            )
        self.url = self._wait_for_address()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdout.close()
            self._directory.cleanup()

    def _wait_for_address(self) -> str:
        """Reads the banner. The pipe is drained afterwards, lest the process wait for a reader."""
        guard = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        guard.start()
        try:
            for line in self._process.stdout:
                if found := re.search(r"listens on (http://\S+)", line):
                    threading.Thread(target=self._process.stdout.read, daemon=True).start()
                    return found[1]
        finally:
            guard.cancel()
        said = self._log.read_text()
        self.stop()
        raise RuntimeError(f"rerankd did not start:\n{said}")


def binary() -> str:
    path = os.environ.get("RERANKD_BIN")
    if not path:
        raise RuntimeError("RERANKD_BIN must be the path of a rerankd binary; conformance/run sets it")
    return path


def _inherited() -> dict[str, str]:
    """The environment without settings of rerankd that happen to be there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RERANKD")}

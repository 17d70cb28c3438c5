"""A server in a process of its own."""

import re
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

#: How long a process may take to end once it is told to.
END_SECONDS = 20


class Program:
    """Starts COMMAND and waits until it says where it listens; `stop` ends that process and no other."""

    def __init__(
        self, command: Sequence[str | Path], environment: dict[str, str], announcement: str, patience: float
    ) -> None:
        """`announcement` is a pattern whose first group is the address; `patience` is in seconds."""
        #: The last lines that it said, for whoever asks why it did not start.
        self._said: deque[str] = deque(maxlen=200)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            errors="replace",
        )
        self.url = self._wait_for_address(announcement, patience)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_for_address(self, announcement: str, patience: float) -> str:
        """Reads until the address. The pipe is drained afterwards, lest the process wait for a reader."""
        guard = threading.Timer(patience, self._process.kill)
        guard.start()
        try:
            for line in self._process.stdout:
                self._said.append(line)
                if found := re.search(announcement, line):
                    threading.Thread(target=self._drain, daemon=True).start()
                    return found[1]
        finally:
            guard.cancel()
        self.stop()
        raise RuntimeError(f"{self._process.args[0]} did not start:\n{''.join(self._said)}")

    def _drain(self) -> None:
        with self._process.stdout as lines:
            self._said.extend(lines)

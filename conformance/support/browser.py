"""Chromium without a window."""

import json
import os
import shutil
import subprocess
import sys

BROWSERS = ["chromium-headless-shell", "chromium", "google-chrome", "chrome", "chromium-browser"]


class Browser:
    """Chromium's DevTools protocol over file descriptors 3 and 4, messages end with a zero byte."""

    def __init__(self, profile):
        program = os.environ.get("BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None:
            sys.exit("no Chromium found: apt-get install chromium-headless-shell, or set BROWSER")
        commands, self.commands = os.pipe()
        self.events, events = os.pipe()

        def wire():
            ours, theirs = os.dup(commands), os.dup(events)
            os.dup2(ours, 3)
            os.dup2(theirs, 4)

        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [program, *arguments], preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(events)
        self.buffer, self.number, self.seen, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Network", "Log", "Runtime", "Page"]:
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != self.number:
            self.seen.append(answer)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def read(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.events, 1 << 20)
            if not piece:
                sys.exit("the browser went away")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.seen):
            self.seen.append(self.read())

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit(f"the browser: {result['exceptionDetails']}")
        return result["result"].get("value")

#!/usr/bin/env node
// Starts the binary of this system, which npm has installed as an optional dependency of this package.
"use strict";

const { spawn } = require("node:child_process");
const os = require("node:os");

const system = `${process.platform}-${process.arch}`;
const file = process.platform === "win32" ? "rerankd.exe" : "rerankd";

let binary;
try {
  binary = require.resolve(`@rerankd/${system}/bin/${file}`);
} catch {
  console.error(
    `rerankd: the package @rerankd/${system} is not installed. Either npm was told to leave optional dependencies out ` +
      "(install again without --omit=optional), or there is no binary for this system; `cargo install rerankd` builds one.",
  );
  process.exit(1);
}

const child = spawn(binary, process.argv.slice(2), { stdio: "inherit" });
// A terminal sends its signals to both processes; a supervisor sends them to this one only.
for (const signal of ["SIGTERM", "SIGHUP"]) {
  process.on(signal, () => child.kill(signal));
}
process.on("SIGINT", () => {
  if (!process.stdin.isTTY) child.kill("SIGINT");
});
child.on("error", (error) => {
  console.error(`rerankd: ${binary} cannot be started: ${error.message}`);
  process.exit(1);
});
// 128 and the number of the signal, as shells say it.
child.on("exit", (code, signal) => process.exit(code ?? 128 + os.constants.signals[signal]));

// The stage of support/stage.py in a process of its own, which ends when its input does.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

// These files are run from a copy beside their modules; `run` says where the Python files are.
const { CONFORMANCE } = process.env;

export async function startStage() {
  const program = spawn("python3", ["-m", "support.stage"], {
    cwd: CONFORMANCE,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: program.stdout });
  const [line] = await Promise.race([
    once(lines, "line"),
    once(program, "exit").then(([code]) => Promise.reject(new Error(`the stage ended with ${code}`))),
  ]);
  const { sites, upstream } = JSON.parse(line);
  const control = async (name, body) => {
    const answer = await fetch(`${upstream}/control/${name}`, { method: "POST", body: JSON.stringify(body ?? null) });
    if (!answer.ok) throw new Error(`control/${name} answered ${answer.status}`);
  };
  return {
    sites,
    upstream: {
      reset: () => control("reset"),
      replyNext: (...replies) => control("next", replies),
      replyAlways: (reply) => control("always", reply),
      calls: async () => (await fetch(`${upstream}/control/calls`)).json(),
    },
    async stop() {
      const ended = once(program, "exit");
      program.stdin.end();
      await ended;
    },
  };
}

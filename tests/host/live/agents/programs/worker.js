// Follows the protocol `work` to its end; the same as `worker.sh`, in Node.
const { spawnSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const readline = require("node:readline");

const moves = {
  bootstrap: ["inbox", { bootstrap: "complete" }],
  inbox: ["deep_work", { task: "count" }],
  deep_work: ["done", {}],
};

const ask = (...words) => spawnSync("aism", ["state", "transition", ...words], { stdio: "inherit" });

console.log("I am " + process.env.AGENT_ID);
readline.createInterface({ input: process.stdin }).on("line", (prompt) => {
  console.log("prompt: " + prompt);
  const found = /in state '([^']*)'/.exec(prompt);
  if (!found || !(found[1] in moves)) return;
  if (found[1] === "bootstrap" && !readFileSync(".aism/work.md", "utf8").includes("# Protocol: work")) process.exit(3);
  if (found[1] === "bootstrap" && process.argv[2] === "careless") ask("inbox");
  const [target, context] = moves[found[1]];
  ask(target, "--context", JSON.stringify(context));
});

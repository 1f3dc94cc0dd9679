// Restate's rounds: its server with default settings, a service of its TypeScript SDK, calls as `ctx.run`.
// The protocol is that of rounds.py. Usage: node restate_rounds.mjs NODE_MODULES FOLDER

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, folder] = process.argv.slice(2);
const CALLS = 10, BRANCHES = 40, AT_ONCE = 10;
// The SDK wants this of newer engines; older ones that still have support lack it.
Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};
const find = createRequire(join(modules, "x.js"));
const restate = await import(pathToFileURL(find.resolve("@restatedev/restate-sdk")));
const version = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"))).version;

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const bench = restate.service({
  name: "bench",
  handlers: {
    w10: async (ctx) => {
      for (let i = 0; i < CALLS; i++) await ctx.run("noop", () => null);
      return null;
    },
    fan40: async (ctx) => {
      await restate.RestatePromise.all(Array.from({ length: BRANCHES }, () => ctx.run("noop", () => null)));
      return null;
    },
  },
});

const [service, ingress, admin, node] = [await freePort(), await freePort(), await freePort(), await freePort()];
await restate.serve({ services: [bench], port: service, logger: () => {} });

const machine = `@restatedev/restate-server-${process.platform}-${process.arch}`;
const server = spawn(join(modules, machine, "bin", "restate-server"), ["--base-dir", folder, "--no-logo"], {
  stdio: "ignore",
  env: {
    ...process.env,
    RESTATE_DISABLE_TELEMETRY: "true",
    RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
    RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
  },
});
process.on("exit", () => server.kill("SIGKILL"));
process.on("SIGTERM", () => process.exit(1));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (what, attempt) => {
  for (let i = 0; i < 300; i++) {
    try { if ((await attempt()).ok) return; } catch { /* not up yet */ }
    await pause(100);
  }
  throw new Error(`${what} did not come up in 30 s`);
};
await until("the admin API", () => fetch(`http://127.0.0.1:${admin}/health`));
await until("the registration", () => fetch(`http://127.0.0.1:${admin}/deployments`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ uri: `http://127.0.0.1:${service}`, force: true }),
}));

const call = async (handler) => {
  const response = await fetch(`http://127.0.0.1:${ingress}/bench/${handler}`, { method: "POST" });
  if (!response.ok) throw new Error(`${handler}: ${response.status} ${await response.text()}`);
  await response.text();
};
const work = {
  w10: () => call("w10"),
  fan40: () => Promise.all(Array.from({ length: AT_ONCE }, () => call("fan40"))),
};
await until("the ingress", () => fetch(`http://127.0.0.1:${ingress}/bench/w10`, { method: "POST" }));

const tell = (value) => process.stdout.write(JSON.stringify(value) + "\n");
tell({ ready: {
  version: `server ${version("@restatedev/restate-server")}, TypeScript SDK ${version("@restatedev/restate-sdk")}`,
  durability: "default: log and metadata in RocksDB, write-ahead log with fsync (rocksdb-disable-wal-fsync = false)",
} });
for await (const line of createInterface({ input: process.stdin })) {
  const [name, times] = JSON.parse(line);
  const taken = [];
  for (let i = 0; i < times; i++) {
    const began = performance.now();
    await work[name]();
    taken.push((performance.now() - began) / 1000);
  }
  tell(taken);
}
process.exit(0);

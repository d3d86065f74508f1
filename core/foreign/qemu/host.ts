// What KVM this host has, asked of programs: Deno lets itself look into /sys and /proc with all permissions only.
import { spawnChild } from "../child.ts";
import { EMULATED, MODULES } from "../../engine/kvm/host.ts";

const PATIENCE_MS = 10_000;
const FOLDER = "/sys/module/";
const SCRIPT = `ls -d ${MODULES.map(([module]) => FOLDER + module).join(" ")} 2>/dev/null
grep -m1 -o '${EMULATED}' /proc/cpuinfo`;

/** The words of `KvmHost`; undefined where that can't be told. */
export async function kvmHost(): Promise<string | undefined> {
  const spawned = spawnChild({ program: "/bin/sh", args: ["-c", SCRIPT] });
  if ("failed" in spawned) return undefined;
  const { child } = spawned;
  try {
    const said: string[] = [];
    for (let line; (line = await child.line(PATIENCE_MS)).kind === "line";) said.push(line.text);
    const host = MODULES.find(([module]) => said.includes(FOLDER + module))?.[1];
    return host && (said.includes(EMULATED) ? `${host}-tcg` : host);
  } finally {
    await child.end();
  }
}

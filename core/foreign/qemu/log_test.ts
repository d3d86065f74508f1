import { assertEquals, assertMatch } from "@std/assert";
import { spawnChild } from "../child.ts";
import type { LoggedAccess } from "./access_log.ts";
import { Log } from "./log.ts";

const access = (value: number, cpu = 0) =>
  `memory_region_ops_write cpu ${cpu} mr 0x1 addr 0x80 value 0x${value} size 1`;
const fence = "memory_region_ops_read cpu -1 mr 0x1 addr 0xed value 0xff size 1";

interface Written {
  /** As `printf` has it. */
  readonly text: string;
  /** Values of the accesses that are heard of. */
  readonly values: readonly number[];
  readonly words?: string;
  readonly complaint?: RegExp;
}

const LOGS: Readonly<Record<string, Written>> = {
  "accesses and words": {
    text: `${access(1)}\\nsorry\\n${access(2)}\\n`,
    values: [1, 2],
    words: "sorry",
  },
  "half an access at the end": {
    text: `${access(1)}\\n${access(2)}`,
    values: [1],
    words: access(2),
  },
  "half an access, cut short": { text: `${access(1)}\\n${access(2).slice(0, 30)}`, values: [1] },
  "part of an access": {
    text: `${access(1)}\\nmemory_region_ops_wri${access(2)}\\n${access(3)}\\n`,
    values: [1],
    complaint: /^Line 2 of QEMU's log is none of its own: "memory_region_ops_wrimemory/,
  },
  "no UTF-8": {
    text: `${access(1)}\\n\\377\\n${access(3)}\\n`,
    values: [1],
    complaint: /^Line 2 of QEMU's log is none of its own: it is not UTF-8$/,
  },
  "no text": {
    text: `${access(1)}\\n\\033[2J\\n${access(3)}\\n`,
    values: [1],
    complaint: /^Line 2 .*: "\\u001b\[2J"$/,
  },
  "what nobody has asked the monitor for": {
    text: `${access(1)}\\n${fence}\\n${access(3)}\\n`,
    values: [1],
    complaint: /^Line 2 .*: an access of the monitor's, who has not been asked for one$/,
  },
  "a device's own access": { text: `${access(1, -1)}\\n${access(2)}\\n`, values: [2] },
};

for (const [name, { text, values, words = "", complaint }] of Object.entries(LOGS)) {
  Deno.test(`a log with ${name}`, async () => {
    const spawned = spawnChild({
      program: "/bin/sh",
      args: ["-c", `printf '${text}' >&2; ${complaint ? "exec sleep 60" : ""}`],
      lines: "stderr",
    });
    if ("failed" in spawned) throw new Error(spawned.failed);
    const { child } = spawned;
    try {
      const log = new Log(child);
      const heard: LoggedAccess[] = [];
      log.listener = (one) => one && heard.push(one);
      // It ends: by a complaint, too.
      await log.read;
      assertEquals(heard.map(({ value }) => value), [...values]);
      assertEquals(log.words, words);
      if (complaint) assertMatch(log.complaint ?? "none", complaint);
      else assertEquals(log.complaint, undefined);
    } finally {
      await child.end();
    }
  });
}

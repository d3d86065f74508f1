// lib/virtio.inc as scenarios use it, well and badly, and what the devices make of that.
import { assertEquals } from "@std/assert";
import type { Access } from "../../trace/exit.ts";
import { runProgram } from "../testing_runs.ts";

function run(body: string) {
  const trace = runProgram(
    "hybrid",
    `start:
        %include "lib/virtio.inc"
        ${body}
        virtio_status
        mov   r12d, eax
        xor   edi, edi
        pv    shutdown
     text: db "text"
     more: db "more"
        align 8
     header: dd 0, 0
     sector: dq 5
     status: db 0xff
        align 512
     data: resb 512`,
    { disks: [{ sectors: 8, readOnly: false, pattern: "sector {n}\n" }] },
  );
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const accesses = trace.events.flatMap((e): Access[] => e.type === "access" ? [e.access] : []);
  return {
    console: new TextDecoder().decode(trace.console),
    resets: accesses.filter((a) => a.kind === "device-needs-reset").map((a) => a.device),
    notifications: trace.counts.accesses["queue-notify"] ?? 0,
    broken: ((trace.final.registers["r12"] ?? 0n) & 64n) !== 0n,
    rcx: trace.final.registers["rcx"],
  };
}

Deno.test("lib/virtio.inc writes a chain of two to the console", () => {
  const { console, resets, notifications, broken } = run(`
        virtio_init console
        lea   rdi, [rel text]
        lea   rsi, [rel more]
        mov   ecx, 4
        virtq_put 0, rdi, ecx, virtq_next, 1
        virtq_put 1, rsi, ecx, 0, 0
        virtq_offer 0
        virtq_notify
        virtq_wait
        virtq_offer 1
        virtq_notify
        virtq_wait`);
  assertEquals(console, "textmoremore");
  assertEquals([resets, notifications, broken], [[], 2, false]);
});

Deno.test("lib/virtio.inc reads a sector", () => {
  const { rcx, broken } = run(`
        virtio_init block
        lea   rdi, [rel header]
        mov   ecx, 16
        virtq_put 0, rdi, ecx, virtq_next, 1
        lea   rdi, [rel data]
        mov   ecx, 512
        virtq_put 1, rdi, ecx, virtq_next | virtq_write, 2
        lea   rdi, [rel status]
        mov   ecx, 1
        virtq_put 2, rdi, ecx, virtq_write, 0
        virtq_offer 0
        virtq_notify
        virtq_wait
        mov   rcx, [rel data]
        movzx edx, byte [rel status]
        shl   rdx, 63
        or    rcx, rdx`);
  assertEquals(
    rcx,
    new DataView(new TextEncoder().encode("sector 5").buffer).getBigUint64(0, true),
  );
  assertEquals(broken, false);
});

Deno.test("a virtio device gives up on what a driver must not do, and the guest goes on", () => {
  const cases: Record<string, string> = {
    "a chain that is its own next": `
        lea   rdi, [rel text]
        mov   esi, 4
        virtq_put_loop`,
    "a head outside the queue": "virtq_offer 9",
    "a next outside the queue": `
        lea   rdi, [rel text]
        mov   esi, 4
        virtq_put 0, rdi, esi, virtq_next, 8
        virtq_offer 0`,
    "an address outside RAM": `
        mov   rdi, 0x7ffffff000
        mov   esi, 4
        virtq_put 0, rdi, esi, 0, 0
        virtq_offer 0`,
    "a length across the end of RAM": `
        mov   rdi, 0x1ffff0
        mov   esi, 0xffffffff
        virtq_put 0, rdi, esi, 0, 0
        virtq_offer 0`,
    "a part to write before one to read": `
        lea   rdi, [rel text]
        mov   esi, 4
        virtq_put 0, rdi, esi, virtq_write | virtq_next, 1
        virtq_put 1, rdi, esi, 0, 0
        virtq_offer 0`,
    "an available index far ahead": "mov word [virtq_avail + 2], 1000",
  };
  for (const [name, mistake] of Object.entries(cases)) {
    const { console, resets, broken } = run(`virtio_init console\n${mistake}\n virtq_notify`);
    assertEquals([console, resets, broken], ["", ["console"], true], name);
  }
});

Deno.test("a virtio device works again after a reset", () => {
  const { console } = run(`
        virtio_init console
        virtq_offer 9
        virtq_notify
        mov   word [virtq_avail + 2], 0
        mov   dword [virtq_used], 0
        virtio_init console
        lea   rdi, [rel text]
        mov   ecx, 4
        virtq_put 0, rdi, ecx, 0, 0
        virtq_offer 0
        virtq_notify
        virtq_wait`);
  assertEquals(console, "text");
});

// What the pv-op library does on Xen in its own way, held against what it does on bare hardware.
import { assert, assertEquals } from "@std/assert";
import type { Trace } from "../../trace/trace.ts";
import { type ProgramOptions, runProgram } from "../testing_runs.ts";

const OBSERVED = ["rax", "rbx", "rcx", "rdx", "rbp", "rsp", "r8", "r9", "r12", "r13", "r14", "r15"];

/** Both runs; their ends and registers are equal, but for those named. */
function both(text: string, options: ProgramOptions = {}, except: readonly string[] = ["rax"]) {
  const [native, para] = (["native", "para"] as const).map((b) => runProgram(b, text, options));
  assert(native && para);
  assertEquals(para.end, native.end);
  for (const register of OBSERVED) {
    if (except.includes(register)) continue;
    assertEquals(para.final.registers[register], native.final.registers[register], register);
  }
  assertEquals(para.final.disks, native.final.disks);
  return para;
}

/** Names of hypercalls with how often each was made. */
function hypercalls(trace: Trace): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const event of trace.events) {
    if (event.type !== "exit" || event.exit.kind !== "hypercall") continue;
    const { name } = event.exit.detail;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

const DISK = { disks: [{ sectors: 128, readOnly: false, pattern: "sector {n}\n" }] };

for (const [offset, sectors] of [[0, 1], [512, 1], [512, 128], [1, 1], [7, 9], [4095, 128]]) {
  Deno.test(`block_read and block_write move ${sectors} sectors at offset ${offset} of a page`, () => {
    const trace = both(
      `start:
        lea   rdx, [rel buffer + ${offset}]
        xor   edi, edi
        mov   esi, ${sectors}
        pv    block_read
        mov   rbx, rax
        mov   rcx, [rdx + 512 * ${(sectors ?? 1) - 1}]
        mov   r8, [rdx - 8]
        mov   r9, [rdx + 512 * ${sectors}]
        add   qword [rdx], 1
        mov   r12, [rdx]
        mov   edi, ${128 - (sectors ?? 1)}
        pv    block_write
        add   rbx, rax
        xor   edi, edi
        pv    shutdown
        align 4096
        resb  4096
     buffer: resb ${70000 + 4096}`,
      DISK,
    );
    const { sched_op, ...others } = hypercalls(trace);
    assertEquals(sched_op, 1, "the shutdown: nothing is waited for");
    assertEquals(Object.keys(others), ["event_channel_op"]);
  });
}

Deno.test("one request carries eleven pages, one event a request", () => {
  const trace = both(
    `start:
        lea   rdx, [rel buffer]
        xor   edi, edi
        mov   esi, 128
        pv    block_read
        xor   edi, edi
        pv    shutdown
        align 4096
     buffer: resb 65536`,
    DISK,
  );
  assertEquals(hypercalls(trace), { event_channel_op: 2, sched_op: 1 });
  assertEquals(trace.counts.accesses, { "queue-notify": 2 });
});

Deno.test("a disk that isn't there is an error", () => {
  const trace = runProgram(
    "para",
    `start:
        mov   edx, 0x150000
        xor   edi, edi
        mov   esi, 1
        pv    block_read
        mov   rbx, rax
        xor   edi, edi
        pv    shutdown`,
  );
  assertEquals(trace.final.registers.rbx, 1n);
});

for (const [period, ticks] of [[10_000, 30], [999_990, 5], [1_000_000, 5], [50_000_000, 2]]) {
  Deno.test(`timer_periodic of ${period} ns keeps its pace`, () => {
    both(
      `start:
        pv    time_now
        mov   r12, rax
        mov   edi, ${period}
        lea   rsi, [rel tick]
        pv    timer_periodic
     .wait:
        pv    wait
        cmp   dword [rel ticks], ${ticks}
        jb    .wait
        pv    timer_stop
        pv    time_now
        sub   rax, r12
        xor   edx, edx
        mov   ecx, ${(period ?? 1) / 10}
        div   rcx                       ; tenths of a period that went by
        mov   r13d, 1
        cmp   eax, ${10 * (ticks ?? 1) - 5}
        jb    .off
        cmp   eax, ${10 * (ticks ?? 1) + 15}
        jb    .done
     .off:
        xor   r13d, r13d
     .done:
        xor   r12d, r12d
        mov   edi, r13d
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        ret
     ticks: dd 0`,
      {},
      ["rax", "rdx"],
    );
  });
}

Deno.test("timers replace each other, and a stopped one is heard no more", () => {
  both(`start:
        mov   edi, 1000000
        lea   rsi, [rel first]
        pv    timer_periodic
        pv    wait
        mov   edi, 20000
        lea   rsi, [rel second]
        pv    timer_periodic
        pv    wait
        pv    wait
        pv    time_now
        lea   rdi, [rax + 100000]
        lea   rsi, [rel third]
        pv    timer_set
        pv    wait
        pv    timer_stop
        pv    irq_unmask
        mov   ecx, 3000000
     .spin:
        dec   ecx
        jnz   .spin
        pv    irq_mask
        mov   rbx, [rel counts]
        xor   edi, edi
        pv    shutdown
     first: inc byte [rel counts]
        ret
     second: inc byte [rel counts + 1]
        ret
     third: inc byte [rel counts + 2]
        ret
     counts: dq 0`);
});

Deno.test("a page mapped for user mode is seen in every space that shares it, until it is unmapped", () => {
  const trace = both(`start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        lea   rdi, [rel leave]
        pv    syscall_set
        mov   rdi, 0x50000000
        lea   rsi, [rel user]
        pv    map_user
        mov   rbp, rdi
        call  try                       ; 7
        pv    new_space
        mov   rdi, rax
        pv    switch_space
        call  try                       ; 7: below 512 GiB
        mov   rdi, rbp
        pv    unmap_page
        call  try                       ; a fault
        mov   rdi, rbp
        lea   rsi, [rel user]
        pv    map_page                  ; the kernel's only
        call  try                       ; a fault
        mov   rdi, 0x8000000000
        lea   rsi, [rel user]
        pv    map_user                  ; in this space only
        mov   rbp, rdi
        call  try                       ; 7
        mov   rbx, [rel results]
        xor   edi, edi
        pv    shutdown
     try:
        mov   rdi, rbp
        xor   esi, esi
        pv    user_enter
        shl   qword [rel results], 8
        or    [rel results], al
        ret
     fault:
        mov   edi, 0xf0
        add   edi, ecx
     leave:                             ; edi: the user's eax
        pv    user_exit
     results: dq 0
        align 4096
     user: mov eax, 7
        syscall
        align 4096`);
  assertEquals(trace.final.registers.rbx, 0x07_07_f1_f1_07n);
});

Deno.test("map_page refuses a frame that is in use as a table, and Xen's slots", () => {
  const trace = runProgram(
    "para",
    `start:
        mov   rdi, 0x40000000
        pv    current_space
        mov   rsi, rax
        pv    map_page
        mov   rbx, rax
        mov   rdi, 0xffff800000000000
        mov   rsi, 0x150000
        pv    map_page
        add   rbx, rax
        mov   rdi, 0xffff880000000000
        pv    map_page
        add   rbx, rax
        xor   edi, edi
        pv    shutdown`,
  );
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  assertEquals(trace.final.registers.rbx, 2n);
});

Deno.test("mapping costs a hypercall a page, and one more a table", () => {
  const trace = both(
    `start:
        mov   r12d, 8
        mov   rdi, 0x40000000
     .next:
        pv    alloc_frame
        mov   rsi, rax
        pv    map_page
        mov   [rdi], r12
        add   rdi, 4096
        dec   r12d
        jnz   .next
        xor   edi, edi
        pv    shutdown`,
    { memory: 4 << 20 },
  );
  assertEquals(hypercalls(trace), { mmu_update: 2, update_va_mapping: 8, sched_op: 1 });
});

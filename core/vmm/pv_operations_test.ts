// The contract of the pv-ops, run on every back end: one guest, the same console, registers, memory and disk.
import { assertEquals } from "@std/assert";
import { BACKENDS } from "../base/backend.ts";
import type { EndState } from "../trace/exit.ts";
import { runProgram } from "./testing_runs.ts";

interface Expected {
  readonly end?: EndState;
  readonly console?: string;
  readonly registers?: Readonly<Record<string, bigint>>;
  /** Text at the start of a sector of the disk. */
  readonly sector?: readonly [number: number, text: string];
}

/** A case: what it shows, the program, and what must come of it. Programs end with code 0 unless told otherwise. */
type Row = readonly [name: string, program: string, expected: Expected];

const CONSOLE: Row[] = [
  [
    "console_write writes, also nothing, also long text, and preserves registers",
    `start:
        mov   rax, 0x1111
        mov   rbx, 0x2222
        mov   rdx, 0x3333
        mov   rdi, 0x4444
        mov   r8, 0x5555
        lea   rsi, [rel text]
        mov   ecx, 0
        pv    console_write
        mov   ecx, 3
        pv    console_write
        lea   r9, [rel text]
        cmp   rsi, r9
        jne   bad
        cmp   ecx, 3
        jne   bad
        add   rax, rbx
        add   rax, rdx
        add   rax, rdi
        add   rax, r8
        mov   rbx, rax
        mov   ecx, 20000
        lea   rsi, [rel long]
        pv    console_write
        xor   edi, edi
        pv    shutdown
     bad: mov edi, 1
        pv    shutdown
     text: db "abcd"
     long: times 20000 db "z"`,
    { console: "abc" + "z".repeat(20000), registers: { rbx: 0xffffn } },
  ],
  [
    "shutdown ends with its code and leaves the other registers",
    `start: mov rbx, 1
        mov rcx, 2
        mov rdx, 3
        mov r11, 4
        mov edi, 77
        pv shutdown`,
    {
      end: { kind: "shutdown", code: 77 },
      registers: { rbx: 1n, rcx: 2n, rdx: 3n, r11: 4n },
    },
  ],
];

const TRAPS: Row[] = [
  [
    "trap_set: the handler gets vector and frame, and can change where the guest goes on",
    `%include "lib/traps.inc"
     start:
        mov   edi, 6
        lea   rsi, [rel invalid]
        pv    trap_set
        mov   rbx, 0
        mov   r12, 0x1234
     place:
        ud2
        mov   edi, 0
        pv    shutdown
     invalid:
        lea   rax, [rel place]
        cmp   [rdx], rax
        jne   bad
        cmp   edi, 6
        jne   bad
        test  rsi, rsi
        jnz   bad
        test  ecx, ecx
        jnz   bad
        cmp   qword [rdx + frame_r12], 0x1234
        jne   bad
        cmp   qword [rdx + frame_vector], 6
        jne   bad
        test  byte [rdx + frame_cs], 3
        jnz   bad
        add   qword [rdx + frame_rip], 2
        mov   qword [rdx + frame_rbx], 55
        xor   r12d, r12d
        ret
     bad: mov edi, 1
        pv    shutdown`,
    { registers: { rbx: 55n, r12: 0x1234n } },
  ],
  [
    "trap_set: a page fault comes with its error code and address",
    `start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        mov   rax, 0x40000123
        mov   byte [rax], 7            ; C6 00 07
        pv    shutdown
     fault:
        mov   rbx, rsi
        pv    fault_address
        mov   [rel seen], rax
        mov   [rel seen + 8], rbx
        mov   r13, rdx
        add   qword [rdx], 3
        lea   rax, [rel done]
        mov   [rdx], rax
        ret
     done:
        mov   rbx, [rel seen]
        mov   rdx, [rel seen + 8]
        xor   edi, edi
        pv    shutdown
     seen: dq 0, 0`,
    { registers: { rbx: 0x40000123n, rdx: 2n } },
  ],
  [
    "trap_set: divide error, breakpoint and a general protection fault",
    `start:
        mov   edi, 0
        lea   rsi, [rel skip2]
        pv    trap_set
        mov   edi, 3
        lea   rsi, [rel count]
        pv    trap_set
        mov   edi, 13
        lea   rsi, [rel protection]
        pv    trap_set
        xor   ebx, ebx
        xor   ecx, ecx
        mov   eax, 1
        cdq
        div   ecx                       ; F7 F1
        int3
        mov   rax, 0x8000000000000000
        mov   al, [rax]                 ; 8A 00
        xor   edi, edi
        pv    shutdown
     skip2:
        inc   dword [rel traps]
        add   qword [rdx], 2
        ret
     count:
        add   dword [rel traps], 10
        ret
     protection:
        add   dword [rel traps], 100
        test  rsi, rsi
        jz    skip2
        ret
        align 8
     traps: dq 0`,
    { end: { kind: "shutdown", code: 0 } },
  ],
];

const USER: Row[] = [
  [
    "user_enter runs user code, which makes system calls until a handler ends it",
    `start:
        lea   rdi, [rel syscall]
        pv    syscall_set
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        lea   rdi, [rel stack]
        mov   rsi, rdi
        pv    map_user
        mov   rbx, 0xabc
        mov   r12, 0xdef
        lea   rdi, [rel user]
        lea   rsi, [rel stack + 4096]
        mov   edx, 5
        pv    user_enter
        mov   rcx, rax
        mov   rdx, [rel sum]
        xor   edi, edi
        pv    shutdown
     syscall:
        cmp   edi, 1
        je    .add
        mov   edi, esi
        pv    user_exit
     .add:
        add   [rel sum], rsi
        mov   rax, [rel sum]
        ret
     sum: dq 100
        align 4096
     user:                              ; rdi = 5
        mov   eax, 1
        syscall                         ; sum = 105
        mov   rdi, rax
        push  rdi
        mov   eax, 1
        syscall                         ; sum = 210
        pop   rdi
        cmp   rdi, 105
        jne   .end
        mov   rdi, rax
     .end:
        mov   eax, 2
        syscall
        align 4096
     stack: resb 4096`,
    { registers: { rcx: 210n, rdx: 210n, rbx: 0xabcn, r12: 0xdefn } },
  ],
  [
    "user mode can't touch the kernel's pages nor use its instructions",
    `start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        mov   edi, 13
        lea   rsi, [rel protection]
        pv    trap_set
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        lea   rdi, [rel user]
        xor   esi, esi
        pv    user_enter
        mov   rbx, rax
        mov   rdx, [rel log]
        xor   edi, edi
        pv    shutdown
     fault:                             ; ecx = 1: user; error code: read, user. Whether the page is there at all
        and   sil, 6                    ; (bit 0) differs: Xen gives user mode tables without the kernel's pages
        mov   [rel log], sil
        mov   [rel log + 1], cl
        add   qword [rdx], 8            ; over the load, to the HLT
        ret
     protection:
        mov   [rel log + 2], cl
        mov   edi, 9
        pv    user_exit
     log: dq 0
        align 4096
     user:
        mov   rax, [abs 0x50000]
        hlt
        align 4096`,
    { registers: { rbx: 9n, rdx: 0x010104n } },
  ],
  [
    "INT n from user mode reaches the handler that trap_set gave it",
    `start:
        mov   edi, 0x80
        lea   rsi, [rel handler]
        pv    trap_set
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        lea   rdi, [rel user]
        xor   esi, esi
        pv    user_enter
        mov   rbx, rax
        xor   edi, edi
        pv    shutdown
     handler:
        lea   edi, [rdi + rcx]          ; 0x80 + 1
        pv    user_exit
        align 4096
     user: int 0x80
        align 4096`,
    { registers: { rbx: 0x81n } },
  ],
];

const MEMORY: Row[] = [
  [
    "map_page maps, remaps, protects and unmaps",
    `%include "lib/frames.inc"
     start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        alloc_frame r12
        alloc_frame r13
        mov   rdi, 0x40000000
        mov   rsi, r12
        pv    map_page
        mov   r15, rax
        mov   qword [rdi], 1
        mov   rsi, r13
        pv    map_page
        add   r15, rax
        mov   qword [rdi], 2
        mov   rbx, [r12]
        mov   rcx, [r13]                ; both frames are mapped at their own addresses too
        pv    protect_page
        add   r15, rax
        mov   rbp, rdi
        mov   r14, 0
        mov   byte [rbp], 3             ; faults: 4 bytes
        mov   rdx, [rbp]
        mov   rdi, rbp
        pv    unmap_page
        add   r15, rax
        mov   al, [rbp]                 ; faults: 3 bytes, and 1 of a NOP
        nop
        pv    unmap_page                ; refused
        add   r15, rax
        xor   edi, edi
        pv    shutdown
     fault:
        inc   qword [rdx - 0x80]        ; r14
        add   qword [rdx], 4
        ret`,
    { registers: { rbx: 1n, rcx: 2n, rdx: 2n, r14: 2n, r15: 1n } },
  ],
  [
    "map_page refuses what is no page or no address",
    `start:
        mov   rdi, 0x40000001
        mov   rsi, 0x150000
        pv    map_page
        mov   rbx, rax
        mov   rdi, 0x40000000
        mov   rsi, 0x150001
        pv    map_page
        add   rbx, rax
        mov   rdi, 0x8000000000000000
        mov   rsi, 0x150000
        pv    map_page
        add   rbx, rax
        xor   edi, edi
        pv    shutdown`,
    { registers: { rbx: 3n } },
  ],
  [
    "switch_space changes what lies above the shared 512 GiB",
    `%include "lib/frames.inc"
     start:
        mov   r12, 0x8000000000
        alloc_frame rsi
        mov   rdi, r12
        pv    map_page
        mov   qword [r12], 1
        pv    current_space
        mov   r13, rax
        pv    new_space
        mov   r14, rax
        mov   rdi, r14
        pv    switch_space
        alloc_frame rsi
        mov   rdi, r12
        pv    map_page
        mov   qword [r12], 2
        mov   rdi, r13
        pv    switch_space
        mov   rbx, [r12]
        mov   rdi, r14
        pv    switch_space
        pv    tlb_flush
        mov   rcx, [r12]
        pv    current_space
        xor   edx, edx
        cmp   rax, r14
        sete  dl
        xor   edi, edi
        pv    shutdown`,
    { registers: { rbx: 1n, rcx: 2n, rdx: 1n } },
  ],
  [
    "alloc_frame hands out each frame once, until there are none",
    `start:
        xor   ebx, ebx
        xor   ecx, ecx
     .next:
        pv    alloc_frame
        test  rax, rax
        jz    .end
        cmp   rax, rbx
        jbe   .bad
        mov   rbx, rax
        test  eax, 4095
        jnz   .bad
        cmp   qword [rax], 0
        jne   .bad
        mov   qword [rax], 1
        inc   ecx
        jmp   .next
     .end:
        cmp   ecx, 8                    ; how many depends on the platform
        jb    .bad
        xor   edi, edi
        pv    shutdown
     .bad:
        mov   edi, 1
        pv    shutdown`,
    {},
  ],
];

const TIME: Row[] = [
  [
    "timer_periodic ticks as often as it is waited for, and stops",
    `start:
        mov   edi, 1000000
        lea   rsi, [rel tick]
        pv    time_now
        mov   r12, rax
        pv    timer_periodic
     .wait:
        pv    wait
        cmp   dword [rel ticks], 20
        jb    .wait
        pv    timer_stop
        pv    time_now
        sub   rax, r12
        cmp   rax, 19000000
        jb    bad
        cmp   rax, 21000000
        ja    bad
        mov   ebx, [rel ticks]
        pv    irq_masked
        mov   ecx, eax
        xor   edi, edi
        pv    shutdown
     bad: mov edi, 1
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        ret
     ticks: dd 0`,
    { registers: { rbx: 20n, rcx: 1n } },
  ],
  [
    "timer_set calls once, near or far, and at once when it is past",
    `start:
        lea   rsi, [rel tick]
        mov   rdi, 1                    ; past
        pv    timer_set
        pv    wait
        pv    time_now
        lea   rdi, [rax + 200000000]    ; farther than a PIT counts
        mov   r12, rdi
        pv    timer_set
        mov   ecx, 2
     .wait:
        pv    wait
        cmp   [rel ticks], ecx
        jb    .wait
        pv    time_now
        cmp   rax, r12
        jb    bad
        sub   rax, r12
        cmp   rax, 1000000
        ja    bad
        mov   ebx, [rel ticks]
        xor   edi, edi
        pv    shutdown
     bad: mov edi, 1
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        ret
     ticks: dd 0`,
    { registers: { rbx: 2n } },
  ],
  [
    "an event waits while it is masked, and its handler changes no register",
    `start:
        pv    irq_mask
        lea   rsi, [rel tick]
        pv    time_now
        lea   rdi, [rax + 20000]
        pv    timer_set
        pv    time_now
        lea   r12, [rax + 100000]
     .spin:
        pv    time_now
        cmp   rax, r12
        jb    .spin
        mov   ecx, [rel ticks]
        mov   rax, 1
        mov   rbx, 2
        mov   rdx, 3
        mov   rsi, 4
        mov   rdi, 5
        mov   r8, 6
        mov   r15, 7
        pv    irq_unmask
        nop
        nop
        add   rbx, rax
        add   rbx, rdx
        add   rbx, rsi
        add   rbx, rdi
        add   rbx, r8
        add   rbx, r15
        mov   edx, [rel ticks]
        pv    irq_masked
        mov   r8, rax
        xor   edi, edi
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        mov   rax, -1
        mov   rbx, rax
        mov   rdx, rax
        mov   rsi, rax
        mov   rdi, rax
        mov   r8, rax
        mov   r15, rax
        ret
     ticks: dd 0`,
    { registers: { rcx: 0n, rbx: 28n, rdx: 1n, r8: 0n } },
  ],
  [
    "an interrupt in user mode reaches its handler, which may end user mode",
    `start:
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        mov   edi, 100000
        lea   rsi, [rel tick]
        pv    timer_periodic
        pv    irq_unmask
        lea   rdi, [rel user]
        xor   esi, esi
        pv    user_enter
        pv    irq_mask
        mov   ebx, eax
        xor   edi, edi
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        cmp   dword [rel ticks], 3
        jne   .on
        mov   edi, 33
        pv    user_exit
     .on:
        ret
     ticks: dd 0
        align 4096
     user: jmp user
        align 4096`,
    { registers: { rbx: 33n } },
  ],
];

const BLOCK: Row[] = [
  [
    "block_read and block_write move sectors, also many",
    `start:
        mov   edi, 3
        mov   esi, 8
        lea   rdx, [rel buffer]
        pv    block_read
        mov   r15, rax
        mov   rbx, [rel buffer]
        mov   rcx, [rel buffer + 512]
        mov   rax, 'written'
        mov   [rel buffer + 512], rax
        mov   edi, 20
        mov   esi, 2
        pv    block_write
        add   r15, rax
        mov   edi, 0
        mov   esi, 72                   ; more than one request of any platform
        pv    block_read
        add   r15, rax
        mov   r8, [rel buffer + 21 * 512]
        mov   r9, [rel buffer + 71 * 512]
        xor   edi, edi
        pv    shutdown
        align 4096
     buffer: resb 65536`,
    {
      registers: {
        r15: 0n,
        rbx: word("sector 3"),
        rcx: word("sector 4"),
        r8: word("written\0"),
        r9: word("sector 7"),
      },
      sector: [21, "written\0"],
    },
  ],
  [
    "block_read and block_write refuse what is not on the disk",
    `start:
        lea   rdx, [rel buffer]
        mov   edi, 127
        mov   esi, 2
        pv    block_read
        mov   rbx, rax
        mov   edi, 128
        mov   esi, 1
        pv    block_write
        add   rbx, rax
        mov   edi, 0
        mov   esi, 0
        pv    block_read
        add   rbx, rax
        mov   esi, 129
        pv    block_read
        add   rbx, rax
        mov   edi, 127                  ; and it goes on working
        mov   esi, 1
        pv    block_read
        mov   rcx, rax
        xor   edi, edi
        pv    shutdown
        align 4096
     buffer: resb 66048`,
    { registers: { rbx: 4n, rcx: 0n } },
  ],
];

/** Buffers need not lie where they are mapped: what devices see is the library's affair. */
const MAPPED: Row[] = [
  [
    "console_write, block_read and block_write take buffers in pages mapped elsewhere",
    `%include "lib/frames.inc"
     start:
        mov   rbp, 0x40000000
        alloc_frame r12
        alloc_frame r13
        lea   rdi, [rbp + 4096]         ; the two pages are not neighbours in memory, nor in order
        mov   rsi, r12
        pv    map_page
        mov   rdi, rbp
        mov   rsi, r13
        pv    map_page
        lea   rdx, [rbp + 4096 - 512]
        mov   edi, 7
        mov   esi, 2
        pv    block_read
        mov   r15, rax
        lea   rsi, [rbp + 4096 - 4]
        mov   dword [rsi], 'over'
        mov   ecx, 12
        pv    console_write
        mov   edi, 30
        mov   esi, 2
        pv    block_write
        add   r15, rax
        mov   rbx, [r12]
        xor   edi, edi
        pv    shutdown`,
    {
      console: "oversector 8",
      registers: { r15: 0n, rbx: word("sector 8") },
      sector: [31, "sector 8\n"],
    },
  ],
];

/** fixtures/lib, as scenarios include it. */
const LIBRARY: Row[] = [
  [
    "lib/print.inc prints, and preserves registers",
    `%include "lib/print.inc"
     start:
        mov   rax, 0x0123456789abcdef
        mov   rcx, 10
        mov   rsi, 11
        mov   rdx, 12
        print "value ", '"', 10
        print_hex rax
        print ","
        print_decimal rax
        print ","
        mov   rbx, 0
        print_decimal rbx
        mov   rbx, -1
        print_decimal rbx
        lea   rbx, [rcx + rsi]
        add   rbx, rdx
        xor   edi, edi
        pv    shutdown`,
    {
      console: 'value "\n0123456789abcdef,81985529216486895,018446744073709551615',
      registers: { rbx: 33n },
    },
  ],
];

const READ_ONLY: Row[] = [
  [
    "block_write refuses a read-only disk",
    `start:
        mov   edi, 1
        mov   esi, 1
        lea   rdx, [rel buffer]
        pv    block_write
        mov   rbx, rax
        pv    block_read
        mov   rcx, rax
        xor   edi, edi
        pv    shutdown
        align 4096
     buffer: times 512 db 'w'`,
    { registers: { rbx: 1n, rcx: 0n }, sector: [1, "sector 1\n"] },
  ],
];

function word(text: string): bigint {
  return new DataView(new TextEncoder().encode(text).buffer).getBigUint64(0, true);
}

const SECTORS = 128;
const PATTERN = "sector {n}\n";

for (const backend of BACKENDS) {
  const writable = [CONSOLE, TRAPS, USER, MEMORY, TIME, BLOCK, MAPPED, LIBRARY].flat();
  const rows = [
    ...writable.map((row) => [false, ...row] as const),
    ...READ_ONLY.map((row) => [true, ...row] as const),
  ];
  for (const [readOnly, name, program, expected] of rows) {
    Deno.test(`${backend}: ${name}`, () => {
      const disks = [{ sectors: SECTORS, readOnly, pattern: PATTERN }];
      const trace = runProgram(backend, program, { disks });
      assertEquals(trace.end, expected.end ?? { kind: "shutdown", code: 0 });
      assertEquals(new TextDecoder().decode(trace.console), expected.console ?? "");
      for (const [register, value] of Object.entries(expected.registers ?? {})) {
        assertEquals(trace.final.registers[register], value, register);
      }
      if (expected.sector) {
        const [number, text] = expected.sector;
        const bytes = trace.final.disks[0]?.subarray(number * 512, number * 512 + text.length);
        assertEquals(new TextDecoder().decode(bytes), text);
      }
    });
  }
}

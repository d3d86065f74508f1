// The contract test of the back ends that show their guest a PC: the same programs, bare of any pv-op, come out the same
// on all of them, to the last register and retired instruction. What differs is what each technique is made of: exits.
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import type { Exit, ExitKind } from "../trace/exit.ts";
import type { Trace } from "../trace/trace.ts";
import { gate, type ProgramOptions, runProgram } from "./testing_runs.ts";

const PC_BACKENDS = ["native", "full-bt", "full-hw", "full-hw/shadow"] as const;
type PcBackend = typeof PC_BACKENDS[number];

interface Program {
  readonly text: string;
  readonly options?: ProgramOptions;
  /** What native makes of it, so that not all are wrong alike. */
  readonly expect: {
    readonly end?: Trace["end"];
    readonly console?: string;
    readonly registers?: Readonly<Record<string, bigint>>;
  };
  /** Exits by kind, where it is known what the technique must make of it; `shadow-fill` aside. */
  readonly exits?: Partial<Record<PcBackend, Partial<Record<ExitKind, number>>>>;
  /** Registers that tell the time, and so differ. */
  readonly timed?: readonly string[];
}

/** Maps a page at 1 GiB: tables at 0x181000 and 0x180000, the frame at 0x190000. */
const MAP_PAGE = `
    mov   qword [0x4008], 0x181007
    mov   qword [0x181000], 0x180007
    mov   qword [0x180000], 0x190007`;

const PROGRAMS: Record<string, Program> = {
  "real mode adds and prints": {
    options: { entry: "real16" },
    text: `start:
    mov   ax, 2
    mov   bx, ax
    mov   dx, 0x3f8
    add   al, bl
    add   al, '0'
    out   dx, al
    mov   al, 10
    out   dx, al
    hlt`,
    expect: { console: "4\n", registers: { rax: 10n } },
    exits: {
      "native": {},
      "full-bt": { io: 2, hlt: 1 },
      "full-hw": { io: 2, hlt: 1 },
      "full-hw/shadow": { io: 2, hlt: 1 },
    },
  },
  "real mode takes interrupts through its vectors": {
    options: { entry: "real16" },
    text: `start:
    mov   word [0x21*4], handler
    mov   word [0x21*4+2], 0
    xor   bx, bx
    mov   cx, 10
.l: int   0x21
    loop  .l
    hlt
handler:
    add   bx, 3
    iret`,
    expect: { registers: { rbx: 30n } },
    exits: {
      "full-bt": { "software-interrupt": 10, "instruction": 10, "hlt": 1 },
      "full-hw": { hlt: 1 },
    },
  },
  "protected mode switches to 32-bit paging": {
    options: { entry: "protected32" },
    text: `start:
    mov   ecx, 1024
    mov   edi, 0x181000
    mov   eax, 3
.fill:
    mov   [edi], eax
    add   eax, 4096
    add   edi, 4
    loop  .fill
    mov   dword [0x180000], 0x181003
    mov   dword [0x180000 + 4*256], 0x182003
    mov   dword [0x182000], 0x190003
    mov   eax, 0x180000
    mov   cr3, eax
    mov   eax, cr0
    or    eax, 0x80000000
    mov   cr0, eax
    mov   dword [0x40000000], 0x1234
    mov   ebx, [0x190000]
    hlt`,
    expect: { registers: { rbx: 0x1234n } },
    exits: {
      "full-bt": { "cr-access": 2, "hlt": 1 },
      "full-hw": { "cr-access": 1, "hlt": 1 },
      "full-hw/shadow": { "cr-access": 2, "hlt": 1 },
    },
  },
  "protected mode switches to PAE paging": {
    options: { entry: "protected32" },
    text: `start:
    mov   dword [0x180000], 0x181001
    mov   dword [0x181000], 0x83
    mov   dword [0x180008], 0x182001
    mov   dword [0x182000], 0x183003
    mov   dword [0x183000], 0x190003
    mov   eax, cr4
    or    eax, 0x20
    mov   cr4, eax
    mov   eax, 0x180000
    mov   cr3, eax
    mov   eax, cr0
    or    eax, 0x80000000
    mov   cr0, eax
    mov   dword [0x40000000], 0x1234
    mov   ebx, [0x190000]
    ; No accessed bit in the pointers, one in the directory; accessed and dirty in the table.
    mov   ecx, [0x180008]
    mov   edx, [0x182000]
    mov   esi, [0x183000]
    hlt`,
    expect: {
      registers: { rbx: 0x1234n, rcx: 0x182001n, rdx: 0x183023n, rsi: 0x190063n },
    },
    exits: { "full-bt": { "cr-access": 3, "hlt": 1 }, "full-hw": { "cr-access": 2, "hlt": 1 } },
  },
  "strings between ports and device memory: each device is asked once": {
    text: `start:
    mov   edx, 0x1000
    mov   edi, 0xfee00080
    insd
    sub   edi, 4
    mov   esi, edi
    mov   ebx, [rdi]
    outsd
    sub   esi, edi
    hlt`,
    expect: { registers: { rbx: 0xffff_ffffn, rsi: 4n } },
    exits: {
      "full-bt": { "io": 2, "mmio": 3, "hlt": 1 },
      "full-hw": { "io": 2, "ept-violation": 3, "hlt": 1 },
    },
  },
  "what is emulated reaches device memory": {
    text: `start:
    mov   edi, 0xfee00080
    lgdt  [rdi]
    sgdt  [rdi]
    sub   rsp, 16
    sgdt  [rsp]
    mov   rbx, [rsp]
    hlt`,
    expect: { registers: { rbx: 0xffff_ffff_ffff_ffffn } },
  },
  "a trap that MOV SS has put off and INT1 are one debug exception": {
    text: `start:
${gate(1, "handler", 0x8e00)}
    mov   eax, ss
    mov   [rel value], ax
    lea   rax, [rel value]
    mov   dr1, rax
    mov   eax, 0xf00408 ; DR1: reads and writes of four bytes
    mov   dr7, rax
    xor   ecx, ecx
    mov   ss, [rel value]
    int1
    mov   rbx, dr6
    hlt
handler:
    inc   ecx
    iretq
align 8
value: dd 0`,
    expect: { registers: { rcx: 1n, rbx: 0xffff0ff2n } },
  },
  "POPF sets the interrupt flag": {
    text: `start:
    pushfq
    pop   rax
    or    rax, 0x200
    push  rax
    popfq
    pushfq
    pop   rbx
    cli
    and   ebx, 0x200
    hlt`,
    expect: { registers: { rbx: 0x200n } },
    exits: { "full-bt": { hlt: 1 }, "full-hw": { hlt: 1 } },
  },
  "exceptions reach the guest's handlers": {
    text: `start:
    ${gate(0, "handler")}
    ${gate(6, "handler")}
    xor   ebx, ebx
    mov   r12d, 5
.l: xor   edx, edx
    xor   ecx, ecx
    div   ecx
    ud2
    dec   r12d
    jnz   .l
    hlt
handler:
    inc   ebx
    add   qword [rsp], 2
    iretq`,
    expect: { registers: { rbx: 10n } },
    exits: {
      "full-bt": { exception: 10, instruction: 10, hlt: 1 },
      "full-hw": { hlt: 1 },
      "full-hw/shadow": { hlt: 1 },
    },
  },
  "page faults carry their address and code": {
    text: `start:
    ${gate(14, "handler")}
    mov   rcx, 0x7fff00001000
    mov   [rcx], eax
    mov   rbx, rax
    mov   rdx, cr2
    hlt
handler:
    pop   rax
    add   qword [rsp], 2
    iretq`,
    expect: { registers: { rbx: 2n, rdx: 0x7fff00001000n } },
    exits: {
      "full-bt": { exception: 1, instruction: 1, hlt: 1 },
      "full-hw": { hlt: 1 },
      "full-hw/shadow": { exception: 1, hlt: 1 },
    },
  },
  "a fault without a handler is a triple fault": {
    text: "start:\n    lidt [rel none]\n    ud2\nnone: dw 0\n    dq 0",
    expect: { end: { kind: "triple-fault" } },
    exits: {
      "native": {},
      "full-bt": { "gdtr-idtr": 1, "exception": 4, "triple-fault": 1 },
      "full-hw": { "triple-fault": 1 },
    },
  },
  "a page-table entry changes a hundred times": {
    text: `start:
    ${MAP_PAGE}
    mov   rdi, 0x40000000
    mov   ecx, 100
    xor   ebx, ebx
.l: xor   qword [0x180000], 0x1000
    invlpg [rdi]
    add   [rdi], ecx
    add   ebx, [rdi]
    dec   ecx
    jnz   .l
    hlt`,
    expect: {},
    exits: {
      // The loader's table, which leads to the new ones, and each change once the entry has been walked.
      "full-bt": { trace: 100, invlpg: 100, hlt: 1 },
      "full-hw": { hlt: 1 },
      "full-hw/shadow": { trace: 100, invlpg: 100, hlt: 1 },
    },
  },
  "user code calls the kernel": {
    text: `start:
    mov   ecx, 0xc0000081
    xor   eax, eax
    mov   edx, 0x001b0008
    wrmsr
    inc   ecx
    lea   rax, [rel kernel]
    xor   edx, edx
    wrmsr
    mov   ecx, 0xc0000084
    mov   eax, 0x200
    wrmsr
    ${gate(0x50, "software", 0xee00)}
    ${MAP_PAGE}
    mov   rdi, 0x40000000
    lea   rsi, [rel user]
    mov   ecx, user_end - user
    rep movsb
    push  0x23
    push  0x40001000
    push  0x2
    push  0x2b
    mov   rax, 0x40000000
    push  rax
    xor   ebx, ebx
    iretq
kernel:
    inc   ebx
    cmp   ebx, 10
    je    .end
    sysretq
.end:
    hlt
software:
    add   rdx, 100
    iretq
user:
    xor   edx, edx
.l: int   0x50
    syscall
    jmp   .l
user_end:`,
    expect: { registers: { rbx: 10n, rdx: 1000n } },
    exits: {
      "full-bt": {
        "msr-write": 3,
        "trace": 1,
        "syscall": 10,
        "software-interrupt": 10,
        // IRETQ once and for each INT, SYSRET for each SYSCALL but the last.
        "instruction": 20,
        "hlt": 1,
      },
      "full-hw": { "msr-write": 3, "hlt": 1 },
    },
  },
  "device memory answers": {
    text: `start:
    mov   rdi, 0xfee00300
    mov   r12d, 8
.l: mov   dword [rdi], 0x55
    mov   rbx, [rdi]
    dec   r12d
    jnz   .l
    hlt`,
    // Nothing is there on these boards; a bus reads as ones.
    expect: { registers: { rbx: 0xffff_ffff_ffff_ffffn } },
    exits: {
      // The quadword is two cycles of a 32-bit bus, and one exit.
      "full-bt": { mmio: 16, hlt: 1 },
      "full-hw": { "ept-violation": 16, "hlt": 1 },
      "full-hw/shadow": { mmio: 16, hlt: 1 },
    },
  },
  "REP INSW reads a sector across pages": {
    options: { disks: [{ sectors: 2, readOnly: false, pattern: "sector {n}\n" }] },
    text: `start:
    mov   dx, 0x1f2
    mov   al, 1
    out   dx, al
    inc   edx
    out   dx, al
    inc   edx
    xor   eax, eax
    out   dx, al
    inc   edx
    out   dx, al
    inc   edx
    mov   al, 0xe0
    out   dx, al
    inc   edx
    mov   al, 0x20
    out   dx, al
.busy:
    in    al, dx
    and   al, 0x88
    cmp   al, 8
    jne   .busy
    mov   edi, 0x110fff
    mov   edx, 0x1f0
    mov   ecx, 256
    rep insw
    mov   rbx, [0x110fff]
    hlt`,
    expect: { registers: { rbx: 0x3120_726f_7463_6573n, rdi: 0x1111ffn } },
  },
  "a loop is interrupted by the timer": {
    text: `start:
    ${gate(32, "tick")}
    mov   al, 0x11
    out   0x20, al
    mov   al, 32
    out   0x21, al
    mov   al, 4
    out   0x21, al
    mov   al, 1
    out   0x21, al
    mov   al, 0xfe
    out   0x21, al
    mov   al, 0x34
    out   0x43, al
    mov   eax, 11932
    out   0x40, al
    mov   al, ah
    out   0x40, al
    xor   ebx, ebx
    sti
.l: inc   rcx
    cmp   ebx, 5
    jb    .l
    cli
    hlt
tick:
    inc   ebx
    push  rax
    mov   al, 0x20
    out   0x20, al
    pop   rax
    iretq`,
    options: { limits: { instructions: 100_000_000 } },
    expect: { registers: { rbx: 5n } },
    exits: { "native": {}, "full-hw": { "io": 13, "external-interrupt": 5, "hlt": 1 } },
    timed: ["rcx", "rax"],
  },
  "an interrupt waits until the guest lets it in": {
    text: `start:
    ${gate(32, "tick")}
    mov   al, 0x11
    out   0x20, al
    mov   al, 32
    out   0x21, al
    mov   al, 4
    out   0x21, al
    mov   al, 1
    out   0x21, al
    mov   al, 0xfe
    out   0x21, al
    mov   al, 0x30
    out   0x43, al
    mov   al, 200
    out   0x40, al
    xor   eax, eax
    out   0x40, al
    xor   ebx, ebx
    mov   ecx, 300000
.l: dec   ecx
    jnz   .l
    sti
    inc   ebx
    cli
    hlt
tick:
    shl   ebx, 4
    inc   ebx
    iretq`,
    // STI holds interrupts back for one instruction more.
    expect: { registers: { rbx: 0x11n } },
    exits: {
      "full-bt": {
        "io": 8,
        "external-interrupt": 1,
        "interrupt-window": 1,
        "instruction": 1,
        "hlt": 1,
      },
      "full-hw": { "io": 8, "external-interrupt": 1, "interrupt-window": 1, "hlt": 1 },
    },
  },
  "user mode has the ports that IOPL gives it": {
    text: `start:
    ${MAP_PAGE}
    ${gate(0x50, "finish", 0xee00)}
    mov   rdi, 0x40000000
    lea   rsi, [rel user]
    mov   ecx, user_end - user
    rep movsb
    push  0x23
    push  0x40001000
    push  0x3002
    push  0x2b
    mov   rax, 0x40000000
    push  rax
    iretq
finish:
    hlt
user:
    mov   edx, 0x3f8
    mov   al, 'u'
    out   dx, al
    cli
    pushfq
    pop   rbx
    int   0x50
user_end:`,
    expect: { console: "u", registers: { rbx: 0x3002n } },
    exits: { "full-hw": { io: 1, hlt: 1 } },
  },
  "the stack lies on a page table that maps itself": {
    // The last entries of the loader's table for the first 2 MiB; they map what nobody uses.
    text: `start:
    ${gate(0x50, "handler")}
    ${gate(6, "undefined")}
    xor   ebx, ebx
    mov   esp, 0x8000
    mov   r12d, 10
.l: int   0x50
    ud2
    pushfq
    pop   rax
    call  far [rel pointer]
    dec   r12d
    jnz   .l
    mov   rcx, [0x1ff000 - 0x1f7008]
    hlt
handler:
    inc   ebx
    iretq
undefined:
    add   qword [rsp], 2
    inc   ebx
    iretq
function:
    inc   ebx
    retfq
pointer: dq function
    dw 8`,
    expect: { registers: { rbx: 30n } },
  },
  "code changes itself": {
    text: `start:
    mov   ecx, 10
    xor   ebx, ebx
patch:
    add   ebx, 1
    inc   byte [rel patch + 2]
    dec   ecx
    jnz   patch
    hlt`,
    expect: { registers: { rbx: 55n } },
  },
  "single steps trap behind exits and between iterations, and not in handlers": {
    text: `start:
    ${gate(1, "handler")}
    ${gate(0x50, "called")}
    mov   rdi, 0x110000
    pushfq
    or    qword [rsp], 0x100
    popfq
    nop
    in    al, 0x80
    mov   ecx, 2
    rep stosb
    int   0x50
    nop
    pushfq
    and   qword [rsp], -1 - 0x100
    popfq
    nop
    mov   rdx, dr6
    hlt
handler:
    inc   ebx
    iretq
called:
    inc   esi
    iretq`,
    // NOP, IN, MOV, two iterations, NOP, PUSHF, AND, POPF; INT goes to a handler, and its IRET began with TF clear.
    expect: { registers: { rbx: 9n, rsi: 1n, rdx: 0xffff4ff0n } },
    exits: { "full-hw": { io: 1, hlt: 1, "dr-access": 1 } },
  },
  "CPUID says nothing of a hypervisor": {
    text: `start:
    mov   eax, 1
    cpuid
    shr   ecx, 31
    mov   r12d, ecx
    mov   eax, 0x40000000
    cpuid
    hlt`,
    expect: { registers: { r12: 0n } },
    exits: { "full-bt": { hlt: 1 }, "full-hw": { cpuid: 2, hlt: 1 } },
  },
  "VMCALL does not exist": {
    text: `start:
    ${gate(6, "handler")}
    vmcall
    hlt
handler:
    mov   ebx, 6
    add   qword [rsp], 3
    iretq`,
    expect: { registers: { rbx: 6n } },
    exits: { "full-hw": { vmcall: 1, hlt: 1 } },
  },
  "an unknown MSR is a general protection fault": {
    text: `start:
    ${gate(13, "handler")}
    mov   ecx, 0x12345
    rdmsr
    hlt
handler:
    pop   rbx
    add   qword [rsp], 2
    iretq`,
    expect: { registers: { rbx: 0n } },
    exits: { "full-bt": { "msr-read": 1, "instruction": 1, "hlt": 1 } },
  },
};

function counted(trace: Trace): Partial<Record<ExitKind, number>> {
  const { "shadow-fill": _, ...kinds } = trace.counts.exits.kinds;
  return kinds;
}

for (const [name, { text, options, expect, exits = {}, timed = [] }] of Object.entries(PROGRAMS)) {
  Deno.test(`every PC back end agrees when ${name}`, () => {
    const traces = PC_BACKENDS.map((backend) =>
      [backend, runProgram(backend, text, options)] as const
    );
    const seen = ({ end, console, final, counts }: Trace) => {
      const registers: Record<string, bigint> = { ...final.registers };
      for (const register of timed) delete registers[register];
      return {
        end,
        console: new TextDecoder().decode(console),
        registers,
        instructions: timed.length > 0 ? 0 : counts.instructions,
      };
    };
    const native = traces[0]?.[1];
    assert(native);
    const reference = seen(native);
    assertEquals(reference.end, expect.end ?? { kind: "halt" });
    assertEquals(reference.console, expect.console ?? "");
    for (const [register, value] of Object.entries(expect.registers ?? {})) {
      assertEquals([register, reference.registers[register]], [register, value]);
    }
    for (const [backend, trace] of traces) {
      assertEquals(seen(trace), reference, backend);
      const kinds = exits[backend];
      if (kinds) assertEquals(counted(trace), kinds, backend);
    }
  });
}

/** Every access of a repeated string instruction to device memory, as `size address`; four a row. */
const STRINGS: Record<string, { text: string; accesses: string[] }> = {
  "stores": {
    text: "mov edi, 0xe0000000\nmov ecx, 4\nmov al, 7\nrep stosb",
    accesses: ["write 1 e0000000", "write 1 e0000001", "write 1 e0000002", "write 1 e0000003"],
  },
  "loads downwards": {
    text: "mov esi, 0xe0000008\nmov edi, 0x180100\nmov ecx, 3\nstd\nrep movsd",
    accesses: ["read 4 e0000008", "read 4 e0000004", "read 4 e0000000"],
  },
  "moves from device to device": {
    text: "mov esi, 0xe0000000\nmov edi, 0xe0000100\nmov ecx, 2\nrep movsw",
    accesses: ["read 2 e0000000", "write 2 e0000100", "read 2 e0000002", "write 2 e0000102"],
  },
  "scans": {
    text: "mov edi, 0xe0000000\nmov ecx, 3\nmov al, 255\nrepe scasb",
    accesses: ["read 1 e0000000", "read 1 e0000001", "read 1 e0000002"],
  },
  "runs out of RAM": {
    text: "mov edi, 0x1ffffe\nmov ecx, 4\nrep stosb",
    accesses: ["write 1 200000", "write 1 200001"],
  },
};
for (const [what, { text, accesses }] of Object.entries(STRINGS)) {
  for (const backend of ["full-bt", "full-hw", "full-hw/shadow"] as const) {
    Deno.test(`${backend} gets every access of a string instruction that ${what}`, () => {
      const trace = runProgram(backend, `bits 32\nstart:\n${text}\nhlt`, { entry: "protected32" });
      const seen = trace.events.flatMap((event) => {
        const exit = event.type === "exit" ? event.exit : undefined;
        if (exit?.kind !== "ept-violation" && exit?.kind !== "mmio") return [];
        const { access, size, gpa } = exit.detail;
        return [`${access} ${size} ${gpa.toString(16)}`];
      });
      assertEquals(seen, accesses);
      assertEquals(trace.end, { kind: "halt" });
    });
  }
}

Deno.test("native counts what costs on bare hardware, device memory and ports alike", () => {
  const text = `bits 32
start:
    mov   edi, 0xe0000000
    mov   [edi], eax
    add   dword [edi], 1                ; a read and a write
    out   0x80, al
    hlt`;
  const { counts } = runProgram("native", text, { entry: "protected32" });
  assertEquals(counts.native, { "mmio": 3, "port-io": 1 });
});

Deno.test("hybrid gives each element of a string instruction its own device register", () => {
  const text = `start:
    mov   rsi, 0xfeb00000               ; virtio: magic, version, device
    lea   rdi, [rel copy]
    mov   ecx, 3
    rep   movsd
    mov   eax, [rel copy]
    mov   ebx, [rel copy + 4]
    mov   ecx, [rel copy + 8]
    hlt
copy: dd 0, 0, 0`;
  const { rax, rbx, rcx } = runProgram("hybrid", text).final.registers;
  assertEquals([rax, rbx, rcx], [0x74726976n, 2n, 3n]);
});

Deno.test("full-bt lets no user code at the real interrupt flag, whatever IOPL its kernel gave it", () => {
  const trace = runProgram(
    "full-bt",
    `start:
    ${gate(0x51, "finish", 0xee00)}
    mov   edi, 0x7000                   ; the first 2 MiB is the user's too
    mov   ecx, 512
.open:
    or    qword [rdi], 4
    add   edi, 8
    loop  .open
    mov   rax, cr3
    mov   cr3, rax
    push  0x23
    push  0x80000
    push  0x3002                        ; IOPL 3, IF clear
    push  0x2b
    lea   rax, [rel user]
    push  rax
    iretq
user:
    sti
    pushfq
    pop   rbx
    cli
    pushfq
    pop   rcx
    int   0x51
finish:
    hlt`,
  );
  assertEquals(trace.end, { kind: "halt" });
  const { rbx = 0n, rcx = 0n } = trace.final.registers;
  assertEquals([rbx & 0x200n, rcx & 0x200n], [0x200n, 0n]);
  // IRETQ is the kernel's, and calls out.
  assertEquals(viaOf(trace, "instruction"), { callout: 1, fault: 2 });
});

Deno.test("full-bt gets the CPU back from user code as from any that runs directly, by a fault", () => {
  const spinning = (inUser: boolean) =>
    `start:
    alloc_frame rbx
    mov   word [rbx], 0xfeeb            ; jmp $
    mov   edi, 0x40000000
    mov   rsi, rbx
    pv    map_user
    pv    irq_mask
    pv    time_now
    lea   rdi, [rax + 1000000]
    lea   rsi, [rel due]
    pv    timer_set
    pv    irq_unmask
    mov   edi, 0x40000000
    mov   esi, 0x40001000
    ${inUser ? "pv user_enter" : "jmp $"}
due:
    mov   edi, 7
    pv    shutdown`;
  for (const [inUser, via] of [[true, "fault"], [false, "callout"]] as const) {
    const text = `%include "lib/frames.inc"\n${spinning(inUser)}`;
    const trace = runProgram("full-bt", text, { memory: 4 << 20 });
    assertEquals(trace.end, { kind: "shutdown", code: 7 });
    assertEquals(viaOf(trace, "external-interrupt"), { [via]: 1 });
  }
});

// Guests that never end, or end badly: whatever they do, the run comes back, and soon.
const HOSTILE: Record<string, { text: string; end: Trace["end"]["kind"] }> = {
  "spins": { text: "start: jmp start", end: "limit" },
  "faults in its fault handler": {
    text: `start:\n${gate(6, "handler", 0x8e01)}\n    ud2\nhandler:\n    ud2`,
    end: "limit",
  },
  "calls its interrupt handler from there": {
    text: `start:\n${gate(0x50, "handler", 0x8e01)}\nhandler:\n    int 0x50`,
    end: "limit",
  },
  "writes to a port for ever": {
    text: "start:\n    mov rcx, -1\n    mov edx, 0x80\n    mov esi, 0x110000\n    rep outsb",
    end: "limit",
  },
  "jumps into a device": { text: "start:\n    mov eax, 0xfee00000\n    jmp rax", end: "crash" },
  "halts with a timer that it masks": {
    text: `start:
    mov   al, 0x34
    out   0x43, al
    mov   al, 1
    out   0x40, al
    out   0x40, al
    hlt`,
    end: "halt",
  },
};

for (const [what, { text, end }] of Object.entries(HOSTILE)) {
  Deno.test(`every PC back end ends a guest that ${what}`, () => {
    const limits = { instructions: 20_000, exits: 10_000 };
    for (const backend of PC_BACKENDS) {
      const trace = runProgram(backend, text, { limits });
      assertEquals(trace.end.kind, end, backend);
      assert(trace.counts.instructions <= limits.instructions, backend);
    }
  });
}

Deno.test("an instruction limit is met to the instruction on every PC back end", () => {
  const text = "start:\n    inc rax\n    inc rbx\n    jmp start";
  for (const backend of PC_BACKENDS) {
    for (const instructions of [1, 2, 3, 1000, 1001]) {
      const { counts } = runProgram(backend, text, { limits: { instructions } });
      assertEquals(counts.instructions, instructions, backend);
    }
  }
});

const adaptation = PROGRAMS["a page-table entry changes a hundred times"]?.text ?? "";
const viaOf = (trace: Trace, kind: ExitKind) => {
  const vias: Partial<Record<Exit["via"], number>> = {};
  for (const event of trace.events) {
    if (event.type !== "exit" || event.exit.kind !== kind) continue;
    vias[event.exit.via] = (vias[event.exit.via] ?? 0) + 1;
  }
  return vias;
};

Deno.test("full-bt retranslates a store that keeps faulting into a callout", () => {
  // One fault of the first mapping, three of the store; full-hw/shadow has no such means.
  assertEquals(viaOf(runProgram("full-bt", adaptation), "trace"), { fault: 4, callout: 96 });
  assertEquals(viaOf(runProgram("full-hw/shadow", adaptation), "trace"), { "vm-exit": 100 });
});

Deno.test("full-bt retranslates an access to device memory that keeps faulting into a callout", () => {
  const text = PROGRAMS["device memory answers"]?.text ?? "";
  const { fault = 0, callout = 0 } = viaOf(runProgram("full-bt", text), "mmio");
  assertGreater(callout, fault);
});

for (const backend of PC_BACKENDS satisfies readonly Backend[]) {
  Deno.test(`${backend} gives the same trace twice`, () => {
    const once = () => {
      const { wallNs: _, ...trace } = runProgram(backend, adaptation);
      return trace;
    };
    assertEquals(once(), once());
  });
}

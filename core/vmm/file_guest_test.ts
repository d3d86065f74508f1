// Guests from files on every back end that shows its guest a PC. Kernels are compiled here where there is a gcc.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { cpuid } from "../cpu/cpuid.ts";
import { bootState } from "../guest/boot.ts";
import { buildGuest } from "../guest/build.ts";
import { guestOf } from "../guest/testing.ts";
import type { GuestSpec } from "../scenario/case.ts";
import { compile, hasCompiler, KERNEL, PC_BACKENDS, runFile, span } from "./testing_files.ts";
import { rom } from "./testing_rom.ts";

/** Compiles kernels of `fixtures/guests`, which use no register but the general ones. */
function kernel(width: "-m32" | "-m64", ...sources: string[]): Promise<Uint8Array> {
  const model = width === "-m64" ? " -mcmodel=large" : "";
  return compile(
    `${width}${model} -Os ${KERNEL} -mgeneral-regs-only`,
    sources.map((source) => `guests/${source}`),
    (path) => Deno.readFile(path),
  );
}

const MAP = [
  "map 0x00000000 0x0009fc00 type 0x00000001",
  "map 0x0009fc00 0x00000400 type 0x00000002",
  "map 0x000e0000 0x00020000 type 0x00000002",
  "map 0x00100000 0x00300000 type 0x00000001",
];
const HANDED = {
  commandLine: "one two",
  modules: [{ value: "a.mod", span }, { value: "b.mod", span }],
};
const MODULES = {
  "a.mod": new TextEncoder().encode("first"),
  "b.mod": new TextEncoder().encode("second"),
};

Deno.test({
  name: "a multiboot kernel finds command line, modules and memory map on every back end",
  ignore: !hasCompiler,
  async fn() {
    const guest = await kernel("-m32", "multiboot.S", "report.c");
    for (const backend of PC_BACKENDS) {
      const { text, end } = runFile(backend, { guest, ...MODULES }, HANDED);
      assertEquals(text.split("\n"), [
        "magic 0x2badb002",
        "cr0 0x00000001",
        "flags 0x00000000",
        "data 0x0000600d",
        "flags 0x0000024d",
        "lower 0x0000027f",
        "upper 0x00000c00",
        "guest one two",
        "a.mod: first",
        "b.mod: second",
        ...MAP,
        "",
      ], backend);
      assertEquals(end, { kind: "shutdown", code: 0 });
    }
  },
});

Deno.test({
  name: "a PVH kernel finds hvm_start_info by its note on every back end",
  ignore: !hasCompiler,
  async fn() {
    const guest = await kernel("-m32", "pvh.S", "report.c");
    for (const backend of PC_BACKENDS) {
      const { text, end } = runFile(backend, { guest, ...MODULES }, HANDED);
      assertEquals(text.split("\n"), [
        "magic 0x336ec578",
        "cr0 0x00000001",
        "flags 0x00000000",
        "data 0x0000600d",
        "version 0x00000001",
        "one two",
        "a.mod: first",
        "b.mod: second",
        ...MAP,
        "rsdp RSD PTR ",
        "",
      ], backend);
      assertEquals(end, { kind: "shutdown", code: 0 });
    }
  },
});

Deno.test({
  name: "an ELF64 executable starts in long mode on every back end",
  ignore: !hasCompiler,
  async fn() {
    const guest = await kernel("-m64", "long.S");
    for (const backend of PC_BACKENDS) {
      const { text, end } = runFile(backend, { guest });
      assertEquals([text, end], ["long\n", { kind: "shutdown", code: 0 }], backend);
    }
  },
});

/** As QEMU 7.2 prints it, but for an absent MSR, which it lets pass, and the I/O APIC's version (0x20). */
const FINDINGS = `memory: 1
div: 0
ud2: 600000000
forced emulation: 600000000
int3: 300000000
endbr64: ff00000000
page not present: e00000000
cr2: 8000000000
page write: e00000002
not canonical: d00000000
stack not canonical: c00000000
bad selector: d00000050
code selector in ss: d00000008
null ss: ff00000000
bad ltr: d00000010
busy ltr: d00000020
absent msr: d00000000
int: ff00000000
single step: 100000000
gs base is kept: 1
gs: 1122334455667788
tr: 20
lar: af9b00
lsl: ffffffff
fs: 10
alias: 1234
accessed: 20
dirty: 60
read-only: e00000003
user call: 8000000000
user halt: d00000000
user touch: e00000005
user fetch: e00000004
lapic id: 0
lapic version: 14
self ipi: 1
ipi by id: 1
held back by tpr: 0
irr: 4
let go: 1
lapic timer: 1
ioapic version: 11
ioapic edge: 1
pit by ioapic: 1
cpus: 1
QEMU
echo: feedf00d
test memory: 600dcafe
pci: ffffffff
pm timer runs: 1
rtc: 80
i8042: 55
idle: 1
`;

Deno.test({
  name: "a strict 64-bit test kernel finds faults, segments, paging, APICs and devices in order",
  ignore: !hasCompiler,
  async fn() {
    const guest = await kernel("-m64", "long_entry.S", "suite.c");
    for (const backend of PC_BACKENDS) {
      const { text, end } = runFile(backend, { guest }, { memory: 16 << 20 });
      assertEquals(text.split("\n"), FINDINGS.split("\n"), backend);
      assertEquals(end, { kind: "shutdown", code: 7 });
    }
  },
});

Deno.test("a ROM starts at F000:FFF0 and shows its POST codes on every back end", () => {
  const guest = rom(`start:
    mov  al, 1
    out  0x80, al
    mov  ax, cs
    mov  ds, ax
    mov  si, text
    mov  al, [si]
    out  0x80, al
    mov  al, 0xff
    out  0x80, al
    cli
    hlt
  text: db 0x42`);
  for (const backend of PC_BACKENDS) {
    const { events, end } = runFile(backend, { guest });
    const codes = events.flatMap((event) =>
      event.type === "access" && event.access.kind === "io" && event.access.address === 0x80
        ? [event.access.value]
        : []
    );
    assertEquals([codes, end], [[1, 0x42, 0xff], { kind: "halt" }], backend);
  }
});

const SEABIOS = "/usr/share/seabios/bios.bin";

Deno.test({
  name: "SeaBIOS, where it is installed, starts as a ROM and says so",
  ignore: !await exists(SEABIOS),
  async fn() {
    const guest = await Deno.readFile(SEABIOS);
    for (const backend of ["native", "full-hw"] as const) {
      const { text } = runFile(backend, { guest }, { memory: 16 << 20 }, { instructions: 300_000 });
      assertStringIncludes(text, "SeaBIOS (version", backend);
    }
  },
});

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

Deno.test("reset leaves the CPU's own signature in EDX", () => {
  const guest = guestOf("", { memory: 1 << 20 });
  const { image } = buildGuest({ ...withoutProgram(guest), file: { value: "r", span } }, "bare", {
    readFile: () => rom("hlt"),
  });
  assert(image);
  assertEquals(bootState(image).general.rdx, BigInt(cpuid(1, 0)[0]));
});

function withoutProgram({ program: _, ...rest }: GuestSpec): GuestSpec {
  return rest;
}

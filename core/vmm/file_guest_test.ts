// Guests from files on every back end that shows its guest a PC. Kernels are compiled here where there is a gcc.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { cpuid } from "../cpu/cpuid.ts";
import { embedded } from "../engine/embedded/engine.ts";
import { assemble, sourceOfFile } from "../guest/asm/assemble.ts";
import { bootState } from "../guest/boot.ts";
import { buildGuest } from "../guest/build.ts";
import { guestOf } from "../guest/testing.ts";
import { DEFAULT_LIMITS, type GuestSpec, type Limits } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import { BACKEND_DEFINITIONS } from "./backends.ts";
import { runCase } from "./runner.ts";
import { DEFAULT_PROFILE } from "./shipped_profiles.ts";
import { profileNamed } from "./testing_runs.ts";

const BACKENDS: readonly Backend[] = ["native", "full-bt", "full-hw", "full-hw/shadow", "hybrid"];
const FIXTURES = new URL("../../fixtures/guests/", import.meta.url).pathname;
const FREESTANDING =
  "-Os -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static " +
  "-mgeneral-regs-only -mno-red-zone -no-pie " +
  `-Wl,--build-id=none -Wl,-z,max-page-size=16 -Wl,-T,${FIXTURES}kernel.ld`;

/** Can this machine compile for both widths? Tests that need it are shown as ignored where it can't. */
const hasCompiler = await compiles();

async function compiles(): Promise<boolean> {
  try {
    for (const width of ["-m32", "-m64"]) {
      const { success } = await new Deno.Command("gcc", {
        args: [width, "-ffreestanding", "-x", "c", "-c", "-o", "/dev/null", "/dev/null"],
        stderr: "null",
      }).output();
      if (!success) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function compile(width: "-m32" | "-m64", ...sources: string[]): Promise<Uint8Array> {
  const output = await Deno.makeTempFile();
  try {
    const { success, stderr } = await new Deno.Command("gcc", {
      args: [
        width,
        ...(width === "-m64" ? ["-mcmodel=large"] : []),
        ...FREESTANDING.split(" "),
        ...sources.map((s) => FIXTURES + s),
        "-o",
        output,
      ],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return await Deno.readFile(output);
  } finally {
    await Deno.remove(output);
  }
}

const span = { file: { name: "test.yaml", text: "file" }, start: 0, end: 4 };

function run(
  backend: Backend,
  files: Readonly<Record<string, Uint8Array>>,
  changes: Partial<GuestSpec> = {},
  limits: Partial<Limits> = {},
): Trace & { readonly text: string } {
  const definition = BACKEND_DEFINITIONS.get(backend);
  assert(definition);
  const { program: _, ...rest } = guestOf("", { memory: 4 << 20, ...changes });
  const guest: GuestSpec = { ...rest, file: { value: "guest", span } };
  const { image, diagnostics } = buildGuest(guest, definition.platform, {
    readFile: ({ value }) => files[value],
  });
  assert(image, diagnostics.map(renderDiagnostic).join("\n"));
  const trace = runCase({
    group: { guest, limits: { ...DEFAULT_LIMITS, ...limits } },
    subject: {
      id: `test@${backend}`,
      backend,
      engine: "embedded",
      expect: { registers: {}, memory: {} },
    },
    image,
    backend: definition,
    engine: embedded,
    profile: profileNamed(DEFAULT_PROFILE),
  });
  return { ...trace, text: new TextDecoder().decode(trace.console) };
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
    const guest = await compile("-m32", "multiboot.S", "report.c");
    for (const backend of BACKENDS) {
      const { text, end } = run(backend, { guest, ...MODULES }, HANDED);
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
    const guest = await compile("-m32", "pvh.S", "report.c");
    for (const backend of BACKENDS) {
      const { text, end } = run(backend, { guest, ...MODULES }, HANDED);
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
    const guest = await compile("-m64", "long.S");
    for (const backend of BACKENDS) {
      const { text, end } = run(backend, { guest });
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
stack not canonical: d00000000
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
lar: a09b00
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
    const guest = await compile("-m64", "long_entry.S", "suite.c");
    for (const backend of BACKENDS) {
      const { text, end } = run(backend, { guest }, { memory: 16 << 20 });
      assertEquals(text.split("\n"), FINDINGS.split("\n"), backend);
      assertEquals(end, { kind: "shutdown", code: 7 });
    }
  },
});

/** A 64 KiB ROM of 16-bit code, with a far jump to it at the reset vector. */
function rom(text: string): Uint8Array {
  const source =
    `bits 16\norg 0\n${text}\ntimes 0xfff0-($-$$) db 0x90\njmp 0xf000:0\ntimes 11 db 0`;
  const { assembled, diagnostics } = assemble([sourceOfFile({ name: "rom.asm", text: source })], {
    bits: 16,
    origin: 0,
  });
  assert(assembled, diagnostics.map(renderDiagnostic).join("\n"));
  return assembled.bytes;
}

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
  for (const backend of BACKENDS) {
    const { events, end } = run(backend, { guest });
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
      const { text } = run(backend, { guest }, { memory: 16 << 20 }, { instructions: 300_000 });
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

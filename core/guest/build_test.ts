import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { buildGuest } from "./build.ts";
import { type Platform, PLATFORMS } from "./image.ts";
import { RSDP_ADDRESS } from "./loaders/acpi.ts";
import { PROGRAM_BASE, PV_CODE_BASE, PV_NEXT_FRAME, REAL_PROGRAM_BASE } from "./layout.ts";
import { dataCells, PV_DATA_SIZE } from "./pv/data.ts";
import { assembleUnit, PV_LIBRARIES, pvAddress, unitOf } from "./pv/library.ts";
import { PV_NAMES, TRAP_FRAME } from "./pv/operations.ts";
import { unitBase } from "./pv/units.ts";
import { guestOf } from "./testing.ts";
import type { GuestSpec } from "../scenario/case.ts";

function imageOf(guest: GuestSpec, platform: Platform = "bare") {
  const { image, diagnostics } = buildGuest(guest, platform);
  assert(image, diagnostics.map(renderDiagnostic).join("\n"));
  return image;
}

function problems(guest: GuestSpec): string {
  const { image, diagnostics } = buildGuest(guest, "bare");
  assertEquals(image, undefined);
  return diagnostics.map(renderDiagnostic).join("\n");
}

Deno.test("buildGuest() gives an unmodified guest its bytes and nothing else", () => {
  for (const platform of PLATFORMS) {
    const { placed, start, free, pvOps } = imageOf(guestOf("start: cli\n hlt"), platform);
    assertEquals(placed, [{ address: PROGRAM_BASE, bytes: Uint8Array.of(0xfa, 0xf4) }]);
    assertEquals([start, free, pvOps], [PROGRAM_BASE, PROGRAM_BASE + 4096, []]);
  }
});

Deno.test("buildGuest() binds each pv-op to its platform", () => {
  const sizes = PLATFORMS.map((platform) => {
    const image = imageOf(guestOf("start: pv console_write\n pv shutdown"), platform);
    assertEquals(image.pvOps, ["console_write", "shutdown"]);
    const library = PV_LIBRARIES[platform];
    const unit = unitOf(library, "console_write");
    assert(unit);
    const target = Number(pvAddress(library, unit, "console_write"));
    const [program] = image.placed;
    assert(program);
    const call = new DataView(program.bytes.buffer, program.bytes.byteOffset, 5);
    assertEquals(call.getUint8(0), 0xe8);
    assertEquals(PROGRAM_BASE + 5 + call.getInt32(1, true), target, platform);
    assertEquals(image.symbols["pv_console_write"], BigInt(target));
    return image.placed.length;
  });
  assertEquals(sizes[0], 3, "program, UART, frame cells");
});

Deno.test("buildGuest() takes along what a unit needs, once, and no more", () => {
  const image = imageOf(guestOf("pv timer_set\n pv timer_stop\n pv trap_set"), "bare");
  const units = image.placed.filter(({ address }) => address >= PV_CODE_BASE && address < 1 << 18);
  const names = PV_LIBRARIES.bare.units
    .filter((unit) => units.some(({ address }) => address === unitBase(unit)))
    .map(({ name }) => name);
  assertEquals(names, ["traps", "pit_timer"]);
  assertEquals(units.length, 2);
});

Deno.test("buildGuest() places no two pieces over each other, and sorts its lines", () => {
  const text = PV_NAMES.map((name) => `  pv ${name}`).join("\n");
  for (const platform of PLATFORMS) {
    const { placed, lines } = imageOf(guestOf(text), platform);
    const sorted = placed.toSorted((a, b) => a.address - b.address);
    sorted.reduce((end, { address, bytes }) => {
      assert(address >= end, `${platform}: ${address.toString(16)}`);
      return address + bytes.length;
    }, 0);
    assertEquals(
      lines.map(({ address }) => address),
      lines.map((l) => l.address).toSorted((a, b) => a - b),
    );
  }
});

Deno.test("buildGuest() tells alloc_frame where free memory begins and ends", () => {
  const image = imageOf(guestOf("pv alloc_frame\n buffer: resb 5000"), "bare");
  const cells = image.placed.find(({ address }) => address === PV_NEXT_FRAME);
  assert(cells);
  const view = new DataView(cells.bytes.buffer);
  assertEquals(Number(view.getBigUint64(0, true)), PROGRAM_BASE + 2 * 4096);
  assertEquals(Number(view.getBigUint64(8, true)), 2 << 20);
  assertEquals(image.free, PROGRAM_BASE + 2 * 4096);
});

Deno.test("buildGuest() loads a file where a program would be", () => {
  const span = { file: { name: "s.yaml", text: "file: boot.bin" }, start: 6, end: 14 };
  const spec = guestOf("", { entry: "real16", file: { value: "boot.bin", span } });
  const { program: _, ...guest } = spec;
  const readFile = () => Uint8Array.of(0xf4);
  const { image } = buildGuest(guest, "bare", { readFile });
  const [loaded, ...firmware] = image?.placed ?? [];
  assertEquals(loaded, { address: REAL_PROGRAM_BASE, bytes: Uint8Array.of(0xf4) });
  assertEquals(firmware.map(({ address }) => address), [RSDP_ADDRESS]);
  assertStringIncludes(problems(guest), "s.yaml:1:7: error: There is no file boot.bin");
});

Deno.test("buildGuest() says what is wrong with a guest", () => {
  const cases: [name: string, guest: GuestSpec, message: string][] = [
    [
      "too big",
      guestOf("start: hlt\n resb 0x100000", { memory: 0x180000 }),
      "beyond the guest's 1536 KiB",
    ],
    ["in the loader's way", guestOf("org 0x1000\nstart: hlt"), "among the tables of its loader"],
    [
      "an op for long mode",
      guestOf("start: hlt\n pv map_page", { entry: "protected32" }),
      "test.asm:2:1: error: pv map_page needs",
    ],
    ["a misspelt op", guestOf("start: pv consol_write"), 'Did you mean "console_write"?'],
    ["an operand mistake", guestOf("start: mov rax, bl"), "test.asm:1"],
    [
      "nothing at all",
      (({ program: _, ...rest }) => rest)(guestOf("")),
      "neither a program nor a file",
    ],
  ];
  for (const [name, guest, message] of cases) assertStringIncludes(problems(guest), message, name);
});

Deno.test("buildGuest() lets guests in other modes use the operations that are one instruction or two", () => {
  for (const entry of ["real16", "protected32"] as const) {
    const { placed, pvOps } = imageOf(guestOf("pv irq_mask\n pv cpuid\n pv shutdown", { entry }));
    assertEquals(placed.length, 1);
    assertEquals(pvOps, ["cpuid", "irq_mask", "shutdown"]);
  }
});

Deno.test("buildGuest() is pure", () => {
  const guest = guestOf("start: pv console_write\n pv wait");
  for (const platform of PLATFORMS) {
    assertEquals(buildGuest(guest, platform), buildGuest(guest, platform));
  }
});

Deno.test("PV_LIBRARIES provide every operation once on every platform", () => {
  for (const platform of PLATFORMS) {
    const { inline, units } = PV_LIBRARIES[platform];
    const provided = [...Object.keys(inline), ...units.flatMap((unit) => unit.provides)];
    assertEquals(provided.toSorted(), PV_NAMES.toSorted(), platform);
    for (const unit of units) {
      const { symbols } = assembleUnit(PV_LIBRARIES[platform], unit);
      for (const name of unit.provides) assert(`pv_${name}` in symbols, `${platform}: ${name}`);
    }
  }
});

Deno.test("dataCells() do not overlap and fit", () => {
  const cells = dataCells().toSorted((a, b) => a.start - b.start);
  const first = cells[0]?.start ?? 0;
  cells.reduce((end, cell) => {
    assert(cell.start >= end, cell.name);
    return cell.end;
  }, PV_NEXT_FRAME + 16);
  assert((cells.at(-1)?.end ?? 0) - first <= PV_DATA_SIZE);
});

Deno.test("lib/traps.inc has the trap frame", async () => {
  const text = await Deno.readTextFile(new URL("../../fixtures/lib/traps.inc", import.meta.url));
  const equs = [...text.matchAll(/^frame_(\w+)\s+equ\s+(\S+)$/gm)];
  const offset = (word: string) => word.startsWith("-") ? -Number(word.slice(1)) : Number(word);
  const found = Object.fromEntries(equs.map(([, name = "", word = ""]) => [name, offset(word)]));
  assertEquals(found, { ...TRAP_FRAME });
});

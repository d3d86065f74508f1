// ACPI tables (ACPI 6.4, chapter 5) by which a kernel finds the local APIC, the I/O APIC and the power-management ports.
// They lie where firmware without UEFI has them, below 1 MiB.
import { IOAPIC_BASE, LAPIC_BASE, PM_PORTS } from "../layout.ts";
import type { Placed } from "../image.ts";

/** The root pointer, on a 16-byte boundary between 0xe0000 and 1 MiB (5.2.5.1). */
export const RSDP_ADDRESS = 0xf0000;
/** Beside the local APIC's 0. */
const IOAPIC_ID = 1;
/** The input that ACPI events would come by. */
const SCI = 9;
/** FADT flags (5.2.9): WBINVD works, the timer has 32 bits, reset register. */
const WBINVD = 1 << 0, TMR_VAL_EXT = 1 << 8, RESET_REG_SUP = 1 << 10;
/** The reset register, port 0xcf9, and the value that resets. */
const RESET_PORT = 0xcf9, RESET_VALUE = 6;
/** IA-PC boot architecture flags: legacy devices, an 8042. */
const LEGACY_DEVICES = 1 << 0, HAS_8042 = 1 << 1;
const CMOS_CENTURY = 0x32;

const HEADER = 36;
const TABLES = {
  rsdt: 0x40,
  xsdt: 0x80,
  fadt: 0x100,
  facs: 0x240,
  dsdt: 0x280,
  madt: 0x2c0,
} as const;

/** All of them, as one piece of memory, for a machine with so many CPUs. */
export function acpiTables(cpus = 1): Placed[] {
  const at = (name: keyof typeof TABLES) => RSDP_ADDRESS + TABLES[name];
  const bytes = new Uint8Array(0x400);
  const put = (name: keyof typeof TABLES, table: Uint8Array) => bytes.set(table, TABLES[name]);
  put("facs", facs());
  put("dsdt", table("DSDT", 2, powerOffNames()));
  put("fadt", fadt(at("facs"), at("dsdt")));
  put("madt", table("APIC", 4, madt(cpus)));
  const named = [at("fadt"), at("madt")];
  put("rsdt", table("RSDT", 1, words(named, 4)));
  put("xsdt", table("XSDT", 1, words(named, 8)));
  bytes.set(rootPointer(at("rsdt"), at("xsdt")), 0);
  return [{ address: RSDP_ADDRESS, bytes }];
}

/** A byte that makes the sum of all a multiple of 256. */
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Little-endian numbers, one after the other. */
function words(values: readonly number[], size: 4 | 8): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * size));
  values.forEach((value, i) => view.setUint32(i * size, value, true));
  return new Uint8Array(view.buffer);
}

/** 5.2.5.3, revision 2. Its first 20 bytes have a checksum of their own. */
function rootPointer(rsdt: number, xsdt: number): Uint8Array {
  const bytes = new Uint8Array(HEADER);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii("RSD PTR "), 0);
  bytes.set(ascii("TRIVIS"), 9);
  bytes[15] = 2;
  view.setUint32(16, rsdt, true);
  view.setUint32(20, HEADER, true);
  view.setBigUint64(24, BigInt(xsdt), true);
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}

/** The header of 5.2.6, and what follows. */
function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + body.length);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii(signature), 0);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  bytes.set(ascii("TRIVIS"), 10);
  bytes.set(ascii("TRIVISOR"), 16);
  view.setUint32(24, 1, true);
  bytes.set(ascii("TRIV"), 28);
  view.setUint32(32, 1, true);
  bytes.set(body, HEADER);
  bytes[9] = checksum(bytes);
  return bytes;
}

/** Fixed description (table 5.9), revision 3: 244 bytes. Offsets are those of the whole table. */
function fadt(facsAddress: number, dsdt: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(244 - HEADER));
  const set8 = (offset: number, value: number) => view.setUint8(offset - HEADER, value);
  const set16 = (offset: number, value: number) => view.setUint16(offset - HEADER, value, true);
  const set32 = (offset: number, value: number) => view.setUint32(offset - HEADER, value, true);
  /** Generic address structure (5.2.3.2): in port space. */
  const port = (offset: number, bytes: number, address: number) => {
    set8(offset, 1);
    set8(offset + 1, 8 * bytes);
    set8(offset + 3, bytes === 1 ? 1 : bytes === 2 ? 2 : 3);
    set32(offset + 4, address);
  };
  set32(36, facsAddress);
  set32(40, dsdt);
  set16(46, SCI);
  set32(56, PM_PORTS.event);
  set32(64, PM_PORTS.control);
  set32(76, PM_PORTS.timer);
  set8(88, 4); // PM1_EVT_LEN, PM1_CNT_LEN, PM_TMR_LEN
  set8(89, 2);
  set8(91, 4);
  set16(96, 0xffff); // No C2, no C3.
  set16(98, 0xffff);
  set8(108, CMOS_CENTURY);
  set16(109, LEGACY_DEVICES | HAS_8042);
  set32(112, WBINVD | TMR_VAL_EXT | RESET_REG_SUP);
  port(116, 1, RESET_PORT);
  set8(128, RESET_VALUE);
  set32(132, facsAddress);
  set32(140, dsdt);
  port(148, 4, PM_PORTS.event);
  port(172, 2, PM_PORTS.control);
  port(208, 4, PM_PORTS.timer);
  return table("FACP", 3, new Uint8Array(view.buffer));
}

/** 5.2.10: it has no checksum. */
function facs(): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set(ascii("FACS"), 0);
  bytes[4] = bytes.length;
  bytes[32] = 1;
  return bytes;
}

/** AML of `Name (\_S5_, Package () { 0, 0, 0, 0 })`: sleep type 0 is soft off. */
function powerOffNames(): Uint8Array {
  const NAME = 0x08, PACKAGE = 0x12, ZERO = 0x00;
  return Uint8Array.of(NAME, ...ascii("_S5_"), PACKAGE, 6, 4, ZERO, ZERO, ZERO, ZERO);
}

/** Interrupt controllers (5.2.12): the processors, one I/O APIC, the timer on input 2, SCI level-triggered. */
function madt(cpus: number): Uint8Array {
  const PCAT_COMPAT = 1, ENABLED = 1;
  const word = (value: number) => words([value], 4);
  const processors = Array.from({ length: cpus }, (_, id) => [0, 8, id, id, ...word(ENABLED)]);
  return Uint8Array.of(
    ...word(LAPIC_BASE),
    ...word(PCAT_COMPAT),
    ...processors.flat(),
    ...[1, 12, IOAPIC_ID, 0, ...word(IOAPIC_BASE), ...word(0)],
    ...[2, 10, 0, 0, ...word(2), 0, 0],
    ...[2, 10, 0, SCI, ...word(SCI), 0x0d, 0],
    // LINT1 of every processor is NMI.
    ...[4, 6, 0xff, 0, 0, 1],
  );
}

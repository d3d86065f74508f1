// Which of QEMU's machines stands in for our board, with what on it: its command line.
import type { GuestImage } from "../../guest/image.ts";
import { DEBUG_CONSOLE_PORTS } from "../../machine/devices/debug_console.ts";
import { DEBUG_EXIT_LENGTH, DEBUG_EXIT_PORT } from "../../machine/devices/debug_exit.ts";
import { UART_COM1_IRQ, UART_COM1_PORT } from "../../machine/devices/uart.ts";
import { BRAND, cpuid, VENDOR } from "../../cpu/cpuid.ts";
import { LOGGED } from "./access_log.ts";

/** What executes the guest's instructions. */
export type Accelerator = "tcg" | "kvm";

/**
 * A program with one CPU gets a PC without PCI, whose devices are those of our board: PIC, PIT, COM1, ATA, ports 0x61 and 0x80,
 * and no local APIC. Others get the PC with PCI, which several CPUs and guests from files need.
 */
export function whole(image: GuestImage): boolean {
  return image.format !== undefined || (image.cpus ?? 1) > 1;
}
function machineOf(image: GuestImage): string {
  return whole(image) ? "pc,hpet=off,vmport=off,smm=off,usb=off" : "isapc";
}

/** Who the embedded CPU says it is: guests tell different processors apart, and do different things then. */
const IDENTITY = `vendor=${VENDOR},model-id=${BRAND},hypervisor=off`;

/** As many leaves of CPUID. */
const LEVELS = `level=${cpuid(0, 0)[0]},xlevel=${cpuid(0x8000_0000, 0)[0] >>> 0}`;

/** The features that the embedded CPU reports, as far as TCG has them. */
const CPU = `qemu64,${IDENTITY},tcg-cpuid=off,${LEVELS},+smep,+smap,+umip,+la57,+fsgsbase,` +
  "+pdpe1gb,+rdtscp,+popcnt,+bmi1,+bmi2,+adx,+movbe,+abm,+sse4.1,+sse4.2,+ssse3,+xsave,+rdrand," +
  "+rdseed,+aes,+pclmulqdq";

/** The host's, without what only firmware and KVM's own guests use, and what not every host can set. */
const KVM_CPU = `host,${IDENTITY},${LEVELS},arch-capabilities=off,kvm=off`;

/**
 * With KVM's interrupt controllers and timer, QEMU's log does not show accesses to them. QEMU's own serve one CPU; for several,
 * QEMU says itself that they are not to be used.
 */
function acceleration(image: GuestImage, accelerator: Accelerator): string {
  return logsAll(image, accelerator) && accelerator === "kvm"
    ? "kvm,kernel-irqchip=off"
    : accelerator;
}

/** Is every access to a device in the log? */
export function logsAll(image: GuestImage, accelerator: Accelerator): boolean {
  return accelerator === "tcg" || (image.cpus ?? 1) === 1;
}

/** Files of a run, by their names in its folder. */
export const FILES = { rom: "rom", ram: "ram", console: "console", state: "state" } as const;
/** The file of a disk. */
export function diskFile(index: number): string {
  return `disk${index}`;
}

/**
 * One nanosecond an instruction, and idle time is skipped: what the guest sees of time is a function of what it executes. The
 * clock on the wall starts where our RTC does.
 */
const VIRTUAL_TIME = ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm"];

/** QEMU's ATA disks can't be read-only: every write to this one's file is an error, which the guest is told. */
function refusing(path: string): string {
  const EIO = 5;
  return "file.driver=blkdebug,file.image.driver=file,file.inject-error.0.event=none," +
    `file.inject-error.0.iotype=write,file.inject-error.0.errno=${EIO},file.image.filename=${path}`;
}

/**
 * Without the device that ends QEMU's process, which would serve one run only: a port that nobody listens on is in the log as
 * well. In its place there is a file for the state of the machine, which no guest sees.
 */
function end(reused: boolean, file: (name: string) => string): readonly string[] {
  return reused
    ? ["-drive", `if=none,id=state,format=qcow2,cache=unsafe,file=${file(FILES.state)}`]
    : [
      "-device",
      `isa-debug-exit,iobase=0x${DEBUG_EXIT_PORT.toString(16)},iosize=${DEBUG_EXIT_LENGTH}`,
    ];
}

/**
 * Can QEMU's process serve one run after another of such an image? KVM's clock does not go back, disks of raw files keep what was
 * written, and several CPUs and guests from files have a machine that is not worth keeping.
 */
export function keepsState(image: GuestImage, accelerator: Accelerator): boolean {
  return accelerator === "tcg" && image.disks.length === 0 && !whole(image);
}

/** QEMU's arguments for an image; it waits for GDB, on its standard streams, before its first instruction. */
export function qemuArguments(
  image: GuestImage,
  folder: string,
  accelerator: Accelerator,
  reused: boolean,
): readonly string[] {
  const file = (name: string) => `${folder}/${name}`;
  const cpu = accelerator === "tcg" ? CPU : KVM_CPU;
  const hex = (value: number) => `0x${value.toString(16)}`;
  return [
    ...[
      "-machine",
      `${machineOf(image)},memory-backend=ram`,
      "-accel",
      acceleration(image, accelerator),
    ],
    ...["-cpu", whole(image) ? cpu : `${cpu},-apic`, "-smp", `${image.cpus ?? 1}`],
    ...["-m", `${Math.ceil(image.memory / 1024)}k`],
    "-object",
    `memory-backend-file,id=ram,size=${image.memory},mem-path=${file(FILES.ram)},share=on`,
    ...["-bios", file(FILES.rom)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-S"],
    ...["-chardev", `file,id=console,path=${file(FILES.console)},mux=on`],
    ...["-device", `isa-serial,chardev=console,iobase=${hex(UART_COM1_PORT)},irq=${UART_COM1_IRQ}`],
    ...end(reused, file),
    ...(image.format === undefined ? [] : DEBUG_CONSOLE_PORTS.flatMap((port) => [
      "-device",
      `isa-debugcon,iobase=${hex(port)},chardev=console`,
    ])),
    ...image.disks.slice(0, 2).flatMap(({ readOnly }, index) => [
      "-drive",
      `if=none,id=disk${index},format=raw,` +
      (readOnly ? refusing(file(diskFile(index))) : `file=${file(diskFile(index))}`),
      "-device",
      `ide-hd,bus=ide.0,unit=${index},drive=disk${index},model=TRIVISOR DISK,serial=TRIVISOR0001,ver=1.0`,
    ]),
    ...["-gdb", "stdio"],
    ...["-action", "reboot=shutdown,shutdown=pause"],
    ...["-trace", LOGGED.trace, "-d", LOGGED.mask],
    ...(accelerator === "tcg" ? VIRTUAL_TIME : []),
  ];
}

// The board: which devices a virtual machine has, at which ports and addresses, on which interrupt lines.
import type { AlarmClock } from "../base/clock.ts";
import { VIRTIO_MMIO_BASE, VIRTIO_MMIO_STRIDE, VIRTIO_SLOTS } from "../guest/layout.ts";
import type { Access } from "../trace/exit.ts";
import type { Bus } from "./bus.ts";
import {
  type CpuInterrupts,
  type InterruptInputs,
  type LineUse,
  lowerControllers,
  ownControllers,
} from "./controllers.ts";
import type { BlockSource, InterruptLine, Power, Sink } from "./device.ts";
import {
  Ata,
  ATA_COMMAND_LENGTH,
  ATA_COMMAND_PORT,
  ATA_CONTROL_LENGTH,
  ATA_CONTROL_PORT,
  ATA_IRQ,
} from "./devices/ata.ts";
import { DEBUG_EXIT_LENGTH, DEBUG_EXIT_PORT, DebugExit } from "./devices/debug_exit.ts";
import { Pit, PIT_IRQ, PIT_LENGTH, PIT_PORT } from "./devices/pit.ts";
import { POST_CODE_LENGTH, POST_CODE_PORT, PostCode } from "./devices/post_code.ts";
import { RESET_CONTROL_LENGTH, RESET_CONTROL_PORT, ResetControl } from "./devices/reset_control.ts";
import {
  SYSTEM_CONTROL_LENGTH,
  SYSTEM_CONTROL_PORT,
  SystemControl,
} from "./devices/system_control.ts";
import { Uart, UART_COM1_IRQ, UART_COM1_PORT, UART_LENGTH } from "./devices/uart.ts";
import {
  FLOAT_ERROR_IRQ,
  FLOAT_ERROR_LENGTH,
  FLOAT_ERROR_PORT,
  FloatError,
} from "./devices/float_error.ts";
import { attachLegacy, type LegacyOptions } from "./legacy_board.ts";
import type { GuestMemory } from "./memory.ts";
import { VirtioBlock } from "./virtio/block.ts";
import { VirtioConsole } from "./virtio/console.ts";
import type { VirtioDevice } from "./virtio/device.ts";
import { VIRTIO_DOORBELL, VirtioMmio } from "./virtio/mmio.ts";

/** What the devices of a PC are plugged into. */
export interface PcBoardOptions {
  readonly bus: Bus;
  readonly clock: AlarmClock;
  /** What the serial port sends. */
  readonly console: Sink;
  /** The first two are on the ATA channel; without any, there is none. */
  readonly disks: readonly BlockSource[];
  readonly power: Power;
  /** How many CPUs; one by default. */
  readonly cpus?: number;
  /** Whether one alone has a local APIC, with the PIC behind it; not by default. Several have one each. */
  readonly lapic?: boolean;
  /** What guests from files expect beside all that; it brings a local APIC too. */
  readonly legacy?: LegacyOptions;
  /** Where interrupt lines lead if that is below the VMM; absent: to the board's own controllers. */
  readonly inputs?: InterruptInputs | undefined;
}

/** The board around one CPU. */
export interface BoardCpu extends CpuInterrupts {
  /** Its FERR#, if that leads anywhere. */
  readonly floatError?: () => void;
}

/** Handles to the devices, for whoever has more to do with them than the guest. */
export interface PcBoard {
  readonly pit: Pit;
  readonly uart: Uart;
  readonly ata: Ata | undefined;
  readonly postCode: PostCode;
  /** Interrupt request line 0 to 15, to whatever controllers there are. Throws `RangeError` for any other, and for 2. */
  readonly line: (irq: number, use?: LineUse) => InterruptLine;
  /** By number; the first is the bootstrap processor. */
  readonly cpus: readonly [BoardCpu, ...BoardCpu[]];
}

/** Attaches the devices of a PC to a bus; throws where it is taken. */
export function pcBoard(options: PcBoardOptions): PcBoard {
  const { bus, clock, disks, power, inputs } = options;
  const count = options.cpus ?? 1;
  const lapic = options.lapic === true || options.legacy !== undefined || count > 1;
  const controllers = inputs
    ? lowerControllers(inputs, { bus, lapic })
    : ownControllers({ bus, clock, lapic, ioapic: options.legacy !== undefined });
  const { line } = controllers;
  const pit = new Pit(clock, line(PIT_IRQ));
  const uart = new Uart(options.console, line(UART_COM1_IRQ));
  const postCode = new PostCode();
  bus.attach("port", PIT_PORT, PIT_LENGTH, "pit", pit);
  const control = new SystemControl(clock, pit);
  bus.attach("port", SYSTEM_CONTROL_PORT, SYSTEM_CONTROL_LENGTH, "system-control", control);
  bus.attach("port", POST_CODE_PORT, POST_CODE_LENGTH, "post-code", postCode);
  bus.attach("port", UART_COM1_PORT, UART_LENGTH, "uart", uart);
  bus.attach("port", DEBUG_EXIT_PORT, DEBUG_EXIT_LENGTH, "debug-exit", new DebugExit(power));
  const reset = new ResetControl(power);
  bus.attach("port", RESET_CONTROL_PORT, RESET_CONTROL_LENGTH, "reset-control", reset);
  let ata: Ata | undefined;
  if (disks.length > 0) {
    ata = new Ata(disks.slice(0, 2), line(ATA_IRQ));
    bus.attach("port", ATA_COMMAND_PORT, ATA_COMMAND_LENGTH, "ata", ata);
    bus.attach("port", ATA_CONTROL_PORT, ATA_CONTROL_LENGTH, "ata", ata.control);
  }
  const others = Array.from({ length: count - 1 }, (_, n) => n + 1);
  const first = controllers.cpu(0);
  let floatError: FloatError | undefined;
  if (options.legacy) {
    floatError = new FloatError(line(FLOAT_ERROR_IRQ));
    bus.attach("port", FLOAT_ERROR_PORT, FLOAT_ERROR_LENGTH, "float-error", floatError);
  }
  const cpus = [
    floatError ? { ...first, floatError: () => floatError.raise() } : first,
    ...others.map((id) => controllers.cpu(id)),
  ] as const;
  if (options.legacy) attachLegacy({ ...options, ...options.legacy, controllers, cpus: count });
  return { pit, uart, ata, postCode, line, cpus };
}

/** What virtio devices are plugged into. */
export interface VirtioBoardOptions {
  readonly bus: Bus;
  readonly memory: GuestMemory;
  /** What the console device sends. */
  readonly console: Sink;
  /** The first is the block device; without any, there is none. */
  readonly disks: readonly BlockSource[];
  /** Interrupt lines by number, those of the board. */
  readonly line: (irq: number, use: LineUse) => InterruptLine;
  /** Told of notifications, and of a device that gives up. */
  readonly observe: (access: Access) => void;
}

/** The virtio devices, and the transports they are on. */
export interface VirtioBoard {
  readonly console: VirtioConsole;
  readonly block: VirtioBlock | undefined;
  readonly transports: readonly VirtioMmio[];
  /** Where drivers notify the devices, and how many queues each has. */
  readonly doorbells: readonly { readonly gpa: number; readonly values: number }[];
}

/** Attaches virtio-mmio devices to a bus, where `VIRTIO_SLOTS` has them; throws where it is taken. */
export function attachVirtio(options: VirtioBoardOptions): VirtioBoard {
  const { bus, memory, line, observe, disks: [disk] } = options;
  const transports: VirtioMmio[] = [];
  const doorbells: { gpa: number; values: number }[] = [];
  const attach = (device: VirtioDevice, { slot, irq }: { slot: number; irq: number }): void => {
    const transport = new VirtioMmio({
      device,
      memory,
      // InterruptStatus holds it until InterruptACK has cleared what is in there (virtio 1.2, 4.2.2).
      line: line(irq, "acknowledged"),
      observe,
    });
    const base = VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_STRIDE;
    bus.attach("memory", base, VIRTIO_MMIO_STRIDE, device.name, transport);
    transports.push(transport);
    doorbells.push({ gpa: base + VIRTIO_DOORBELL, values: device.queueSizes.length });
  };
  const console = new VirtioConsole(options.console);
  attach(console, VIRTIO_SLOTS.console);
  const block = disk === undefined ? undefined : new VirtioBlock(disk);
  if (block !== undefined) attach(block, VIRTIO_SLOTS.block);
  return { console, block, transports, doorbells };
}

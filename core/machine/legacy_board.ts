// The rest of a PC: what kernels and test suites that nobody wrote for this board look for. Only guests from files get it, so
// that the traces of programs stay free of it.
import type { AlarmClock } from "../base/clock.ts";
import { PM_PORTS, ROM_END, ROM_LOW_BYTES, ROM_LOW_END } from "../guest/layout.ts";
import type { Bus } from "./bus.ts";
import type { Controllers } from "./controllers.ts";
import type { AddressGate, InterruptLine, Power, Sink } from "./device.ts";
import {
  DEBUG_CONSOLE_LENGTH,
  DEBUG_CONSOLE_PORTS,
  DebugConsole,
} from "./devices/debug_console.ts";
import { FAST_CONTROL_LENGTH, FAST_CONTROL_PORT, FastControl } from "./devices/fast_control.ts";
import { FW_CFG_LENGTH, FW_CFG_PORT, FwCfg } from "./devices/fw_cfg.ts";
import { I8042, I8042_COMMAND_PORT, I8042_DATA_PORT, I8042_LENGTH } from "./devices/i8042.ts";
import {
  PCI_ADDRESS_LENGTH,
  PCI_ADDRESS_PORT,
  PCI_DATA_LENGTH,
  PCI_DATA_PORT,
  PciAddress,
  PciData,
} from "./devices/pci_config.ts";
import { POWER_MANAGEMENT_LENGTH, PowerManagement } from "./devices/power_management.ts";
import { RomWindow } from "./devices/rom_window.ts";
import { Rtc, RTC_IRQ, RTC_LENGTH, RTC_PORT } from "./devices/rtc.ts";
import * as test from "./devices/test_device.ts";

/** What the devices tell of the machine. */
export interface LegacyOptions {
  /** Bytes of RAM. */
  readonly memory: number;
  /** Moved by the keyboard controller and by port 0x92, whichever is written last. */
  readonly gate: AddressGate;
  /** Mapped so that it ends at 4 GiB. */
  readonly rom?: Uint8Array;
}

/** What they are plugged into. */
export interface LegacyBoardOptions extends LegacyOptions {
  readonly bus: Bus;
  readonly clock: AlarmClock;
  /** What the debug console shows. */
  readonly console: Sink;
  readonly power: Power;
  readonly controllers: Controllers;
  readonly cpus: number;
}

/** Attaches them; throws where the bus is taken. */
export function attachLegacy(options: LegacyBoardOptions): void {
  const { bus, clock, power, memory, gate, rom, controllers, cpus } = options;
  const i8042 = new I8042(power, gate);
  bus.attach("port", I8042_DATA_PORT, I8042_LENGTH, "i8042", i8042.data);
  bus.attach("port", I8042_COMMAND_PORT, I8042_LENGTH, "i8042", i8042.command);
  bus.attach(
    "port",
    RTC_PORT,
    RTC_LENGTH,
    "rtc",
    new Rtc(clock, controllers.line(RTC_IRQ), memory),
  );
  const fast = new FastControl(power, gate);
  bus.attach("port", FAST_CONTROL_PORT, FAST_CONTROL_LENGTH, "fast-control", fast);
  bus.attach(
    "port",
    FW_CFG_PORT,
    FW_CFG_LENGTH,
    "fw-cfg",
    new FwCfg({ memory, cpus }),
  );
  const pm = new PowerManagement(clock, power);
  bus.attach("port", PM_PORTS.event, POWER_MANAGEMENT_LENGTH, "power-management", pm);
  bus.attach("port", PCI_ADDRESS_PORT, PCI_ADDRESS_LENGTH, "pci", new PciAddress());
  bus.attach("port", PCI_DATA_PORT, PCI_DATA_LENGTH, "pci", new PciData());
  for (const port of DEBUG_CONSOLE_PORTS) {
    bus.attach(
      "port",
      port,
      DEBUG_CONSOLE_LENGTH,
      "debug-console",
      new DebugConsole(options.console),
    );
  }
  attachTestDevice(bus, (n) => controllers.input(n));
  if (rom) attachRom(bus, rom);
}

/** What is written to a ROM and to its copy below 1 MiB is lost. */
function attachRom(bus: Bus, rom: Uint8Array): void {
  bus.attach("memory", ROM_END - rom.length, rom.length, "rom", new RomWindow(rom));
  const low = rom.subarray(-Math.min(rom.length, ROM_LOW_BYTES));
  bus.attach("memory", ROM_LOW_END - low.length, low.length, "rom", new RomWindow(low));
}

function attachTestDevice(bus: Bus, line: (n: number) => InterruptLine | undefined): void {
  const name = "test-device";
  bus.attach("port", test.TEST_ECHO_PORT, test.TEST_ECHO_LENGTH, name, new test.TestEcho());
  bus.attach("port", test.TEST_FLUSH_PORT, test.TEST_FLUSH_LENGTH, name, new test.TestFlush());
  const lines = new test.TestLines(line);
  bus.attach("port", test.TEST_LINES_PORT, test.TEST_LINES_LENGTH, name, lines);
  const { TEST_MEMORY_BASE, TEST_MEMORY_LENGTH, TestMemory } = test;
  bus.attach("memory", TEST_MEMORY_BASE, TEST_MEMORY_LENGTH, name, new TestMemory());
}

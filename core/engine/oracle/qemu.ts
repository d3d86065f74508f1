// QEMU's processor as an oracle: one process that stays, stopped at start, driven through its GDB stub. Its RAM is a file
// that this process writes and reads too; code alone goes through the stub, which tells the translator of it.
import { endAt } from "./embedded.ts";
import { AT, MEMORY, type Mode, WATCHED } from "./machine.ts";
import { type RegisterLayout, registerLayout } from "../gdb/layout.ts";
import { initialMemory } from "./memory_image.ts";
import { fromHex, RemoteProtocol, toHex, type Wire } from "../gdb/rsp.ts";
import { parameters, SETUP } from "./setup.ts";
import type { End, Outcome, Trial } from "./trial.ts";

const QEMU = "qemu-system-x86_64";
const MACHINE =
  "microvm,accel=tcg,pit=off,pic=off,rtc=off,acpi=off,x-option-roms=off,isa-serial=off," +
  "auto-kernel-cmdline=off,memory-backend=ram";
/** The features that the embedded CPU reports, or has without reporting them; Intel's rules for SYSCALL and SYSENTER. */
const CPU = "qemu64,vendor=GenuineIntel,+smep,+smap,+umip,+la57,+fsgsbase,+pdpe1gb,+rdtscp," +
  "+popcnt,+bmi1,+bmi2,+adx,+movbe,+abm,+sse4.2";
/** A trial that has not ended by then does not end. */
const PATIENCE_MS = 500;

const GENERAL = [
  ...["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"],
  ...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"],
];

export class QemuCpu {
  readonly #process: Deno.ChildProcess;
  readonly #folder: string;
  readonly #ram: Deno.FsFile;
  readonly #remote: RemoteProtocol;
  readonly #layout: RegisterLayout;
  /** `g` packets of modes that were entered, before trials put their registers in. */
  #family: string | undefined;
  #initial: Uint8Array = new Uint8Array();

  private constructor(
    process: Deno.ChildProcess,
    folder: string,
    remote: RemoteProtocol,
    layout: RegisterLayout,
  ) {
    this.#process = process;
    this.#folder = folder;
    this.#ram = Deno.openSync(`${folder}/ram`, { read: true, write: true });
    this.#remote = remote;
    this.#layout = layout;
  }

  static async start(): Promise<QemuCpu> {
    const folder = await Deno.makeTempDir({ prefix: "trivisor-oracle-" });
    await Deno.writeFile(`${folder}/bios`, new Uint8Array(65536).fill(0xf4));
    const process = new Deno.Command(QEMU, {
      args: [
        ...["-M", MACHINE, "-cpu", CPU, "-m", `${MEMORY >> 20}`, "-bios", `${folder}/bios`],
        ...["-object", `memory-backend-file,id=ram,size=${MEMORY},mem-path=${folder}/ram,share=on`],
        ...["-nodefaults", "-no-user-config", "-display", "none", "-S"],
        ...["-gdb", `unix:${folder}/gdb,server=on,wait=off`],
        ...["-action", "reboot=shutdown,shutdown=pause"],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const remote = new RemoteProtocol(await connect(`${folder}/gdb`));
    await remote.ask("qSupported:xmlRegisters=i386");
    const layout = await registerLayout(remote);
    await remote.ask("Qqemu.PhyMemMode:1");
    const cpu = new QemuCpu(process, folder, remote, layout);
    const stops = [AT.end, AT.target, AT.handled, AT.realHandled, ...SETUP.ready];
    for (const stop of stops) await remote.ask(`Z0,${stop.toString(16)},1`);
    await cpu.#code(AT.setup, SETUP.bytes);
    return cpu;
  }

  async stop(): Promise<void> {
    this.#remote.close();
    this.#ram.close();
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await Deno.remove(this.#folder, { recursive: true });
  }

  /** Runs a trial; `undefined` where the processor shut down or did not end, and has to be started anew. */
  async run(trial: Trial): Promise<Outcome> {
    const { mode } = trial;
    await this.#enter(mode);
    for (const { address, bytes } of trial.patches ?? []) this.#write(address, bytes);
    const start = AT.end - trial.code.length;
    const base = mode.family === "real" ? mode.data << 4 : mode.bits === 16 ? AT.stack : 0;
    const { cr0, cr4, efer } = trial.control ?? mode;
    // CR3 last: patched tables are not what translations were made from.
    const special = { fs_base: BigInt(base), gs_base: BigInt(base), cr0, cr4, efer, cr3: mode.cr3 };
    const assignments = Object.entries(special).map(([name, value]) =>
      this.#assignment(name, value)
    );
    const registers = fromHex(await this.#remote.ask("g"));
    this.#fill(registers, trial, start);
    await this.#remote.send(
      `M${start.toString(16)},${trial.code.length.toString(16)}:${toHex(trial.code)}`,
      // Only as far as the segment registers: what follows is read as 64 bits but written as 32 outside 64-bit code.
      `G${toHex(registers.subarray(0, this.#field("fs_base").at))}`,
      ...assignments,
      "c",
    );
    for (const what of ["M", "G", ...assignments]) await this.#expectOk(what);
    const stop = await this.#stopped();
    const info = parseInfo(await this.#remote.monitor("info registers"));
    const after = fromHex(await this.#remote.ask("g"));
    return {
      end: stop ?? endOf(info),
      registers: { ...info, rflags: this.#get(after, "eflags").toString(16) },
      memory: WATCHED.map(({ address, length }) => this.#read(address, length)),
    };
  }

  async #expectOk(what: string): Promise<void> {
    const answer = await this.#remote.receive();
    if (answer !== "OK") throw new Error(`QEMU answers ${what} with ${answer}`);
  }

  /** Waits for a stop reply; tells if it did not come by itself, or from a shutdown. */
  async #stopped(): Promise<End | undefined> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#remote.interrupt();
    }, PATIENCE_MS);
    const reply = await this.#remote.receive();
    clearTimeout(timer);
    if (late) return "endless";
    // GDB_SIGNAL_TRAP; a shutdown is another signal.
    return reply.startsWith("T05") ? undefined : "shutdown";
  }

  /** Memory as the mode's trials find it, and the processor in that mode at level 0. */
  async #enter(mode: Mode): Promise<void> {
    const start: [string, bigint][] = [
      ["cr0", 0x10n],
      ["cr3", 0n],
      ["cr4", 0n],
      ["efer", 0n],
      ["eflags", 2n],
      // A segment register is loaded only where the selector changes; the level comes from SS.
      ["ss", 0xffffn],
      ["ss", 0n],
      ["cs", 0xffffn],
      ["cs", BigInt(AT.setup >> 4)],
      ["rip", 0n],
    ];
    await this.#remote.send(...start.map(([name, value]) => this.#assignment(name, value)));
    for (const [name] of start) await this.#expectOk(name);
    if (this.#family !== mode.family) {
      this.#family = mode.family;
      this.#initial = initialMemory(mode.family, false);
      await this.#code(AT.code, this.#initial.subarray(AT.code, AT.gdt));
      this.#write(AT.ivt, this.#initial.subarray(0, 0x1000));
    }
    for (const { address, length } of WATCHED) {
      this.#write(address, this.#initial.subarray(address, address + length));
    }
    this.#write(AT.parameters, parameters(mode));
    await this.#remote.send("c");
    if (await this.#stopped()) {
      const info = await this.#remote.monitor("info registers");
      throw new Error(`QEMU does not enter ${mode.name}: ${info}`);
    }
  }

  #fill(registers: Uint8Array, trial: Trial, start: number): void {
    const { mode } = trial;
    GENERAL.forEach((name, i) => this.#set(registers, name, trial.general[i] ?? 0n));
    const sixtyFour = mode.bits === 64;
    this.#set(registers, "rip", BigInt(mode.bits === 16 ? start - AT.code : start));
    this.#set(registers, "eflags", trial.rflags);
    this.#set(registers, "cs", BigInt(mode.cs));
    this.#set(registers, "ss", BigInt(mode.ss));
    for (const name of ["ds", "es"]) this.#set(registers, name, BigInt(mode.data));
    for (const name of ["fs", "gs"]) this.#set(registers, name, BigInt(sixtyFour ? 0 : mode.data));
  }

  #field(name: string) {
    const field = this.#layout.get(name);
    if (!field) throw new Error(`QEMU's GDB stub has no register ${name}`);
    return field;
  }
  #set(registers: Uint8Array, name: string, value: bigint): void {
    const { at, size } = this.#field(name);
    for (let i = 0; i < size; i++) registers[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  #get(registers: Uint8Array, name: string): bigint {
    const { at, size } = this.#field(name);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = value << 8n | BigInt(registers[at + i] ?? 0);
    return value;
  }
  #assignment(name: string, value: bigint): string {
    const { size, number } = this.#field(name);
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
    return `P${number.toString(16)}=${toHex(bytes)}`;
  }

  async #code(address: number, bytes: Uint8Array): Promise<void> {
    const CHUNK = 1024;
    for (let i = 0; i < bytes.length; i += CHUNK) {
      const part = bytes.subarray(i, i + CHUNK);
      const [at, length] = [address + i, part.length].map((n) => n.toString(16));
      await this.#remote.ask(`M${at},${length}:${toHex(part)}`);
    }
  }
  #write(address: number, bytes: Uint8Array): void {
    this.#ram.seekSync(address, Deno.SeekMode.Start);
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(this.#ram.writeSync(rest));
  }
  #read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#ram.seekSync(address, Deno.SeekMode.Start);
    for (let done = 0; done < length;) {
      const count = this.#ram.readSync(bytes.subarray(done));
      if (count === null) throw new Error("QEMU's memory ends too early");
      done += count;
    }
    return bytes;
  }
}

/** Where RIP stands, as an end. */
function endOf(registers: Readonly<Record<string, string>>): End {
  const base = registers["bits"] === "64" ? 0 : parseInt(registers["cs.base"] ?? "0", 16);
  return endAt(base + parseInt(registers["rip"] ?? "0", 16));
}

/** What the monitor says of registers, named as the embedded engine names them. */
export function parseInfo(text: string): Record<string, string> {
  const registers: Record<string, string> = {};
  const hex = (digits: string) => BigInt(`0x${digits}`).toString(16);
  const sixtyFour = /\bRAX=/.test(text);
  registers["bits"] = sixtyFour ? "64" : "32";
  const names: Record<string, string> = sixtyFour ? {} : { EIP: "rip" };
  for (const name of ["AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP"]) {
    names[(sixtyFour ? "R" : "E") + name] = `r${name.toLowerCase()}`;
  }
  for (const [, name = "", digits = ""] of text.matchAll(/\b([A-Z][A-Z0-9]+) *=([0-9a-f]+)/g)) {
    const known = names[name] ??
      (/^(R(IP|\d+)|CR\d|EFER|DR[67])$/.test(name) ? name.toLowerCase() : undefined);
    if (known) registers[known] = hex(digits);
  }
  const segment = /^([CDEFGS]S |LDT|TR )=([0-9a-f]{4}) ([0-9a-f]+) ([0-9a-f]{8}) ([0-9a-f]{8})/gm;
  for (
    const [, name = "", selector = "", base = "", limit = "", flags = ""] of text.matchAll(segment)
  ) {
    const ours = { LDT: "ldtr", "TR ": "tr" }[name] ?? name.trim().toLowerCase();
    registers[`${ours}.selector`] = hex(selector);
    registers[`${ours}.base`] = hex(base);
    registers[`${ours}.limit`] = hex(limit);
    registers[`${ours}.attributes`] = (parseInt(flags, 16) >>> 8 & 0xf0ff).toString(16);
  }
  for (
    const [, name = "", base = "", limit = ""] of text.matchAll(
      /^([GI]DT)= +([0-9a-f]+) ([0-9a-f]+)/gm,
    )
  ) {
    registers[`${name.toLowerCase()}r.base`] = hex(base);
    registers[`${name.toLowerCase()}r.limit`] = hex(limit);
  }
  const level = text.match(/CPL=(\d)/)?.[1];
  if (level) registers["cpl"] = level;
  return registers;
}

async function connect(path: string): Promise<Wire> {
  const ATTEMPTS = 250, PAUSE_MS = 20;
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** Why QEMU can't be asked, if it can't. */
export async function qemuUnavailable(): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(QEMU, { args: ["--version"] }).output();
    return /QEMU/.test(new TextDecoder().decode(stdout)) ? undefined : "QEMU does not answer";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

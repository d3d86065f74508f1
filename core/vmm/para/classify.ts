// What an exit of a PV guest is. The CPU knows SYSCALL and exceptions; Xen knows who made them, and so what they mean.
import { VECTOR } from "../../base/registers.ts";
import type { Exit } from "../../trace/exit.ts";
import { FORCED_CPUID } from "./abi.ts";
import type { Domain } from "./domain.ts";
import type { HypercallTable } from "./hypercalls/table.ts";
import { emulatesMsr } from "./msrs.ts";
import { privilegedInstruction } from "./privileged.ts";

/** Registers of a hypercall's arguments. */
const ARGUMENTS = ["rdi", "rsi", "rdx", "r10", "r8"] as const;

/** All five argument registers, whatever the hypercall takes. */
export function hypercallArguments({ vcpu }: Domain): bigint[] {
  return ARGUMENTS.map((name) => vcpu.get(name));
}

/** Gives an exit its final kind. */
export function classify(domain: Domain, table: HypercallTable, exit: Exit): Exit {
  switch (exit.kind) {
    case "syscall":
      return domain.kernelMode ? hypercall(domain, table, exit) : { ...exit, via: "fault" };
    case "exception":
      return exception(domain, exit);
    default:
      return exit;
  }
}

function hypercall(domain: Domain, table: HypercallTable, exit: Exit): Exit {
  const number = domain.vcpu.get("rax");
  const entry = table.get(number);
  const name = entry?.name ?? "unknown";
  const args = hypercallArguments(domain).slice(0, entry?.argumentCount);
  return {
    ...exit,
    kind: "hypercall",
    via: "hypercall",
    detail: { name, number, arguments: args },
  };
}

/** Emulation that is part of the interface shows as what is emulated: CPUID and the MSRs of segment bases. */
function exception(domain: Domain, exit: Extract<Exit, { kind: "exception" }>): Exit {
  const { vcpu } = domain;
  const low = (name: "rax" | "rcx" | "rdx") => vcpu.get(name) & 0xffff_ffffn;
  if (exit.detail.vector === VECTOR.UD) {
    const bytes = vcpu.instructionBytes();
    if (!FORCED_CPUID.every((byte, i) => bytes[i] === byte)) return exit;
    const detail = { leaf: Number(low("rax")), subleaf: Number(low("rcx")) };
    return { ...exit, bytes: FORCED_CPUID, kind: "cpuid", detail };
  }
  if (exit.detail.vector !== VECTOR.GP || !domain.kernelMode) return exit;
  const mnemonic = privilegedInstruction(vcpu.instructionBytes(), vcpu.bitness)?.mnemonic;
  const msr = Number(low("rcx"));
  if (mnemonic === "rdmsr" && emulatesMsr(msr, false)) {
    return { ...exit, kind: "msr-read", detail: { msr } };
  }
  if (mnemonic === "wrmsr" && emulatesMsr(msr, true)) {
    return { ...exit, kind: "msr-write", detail: { msr, value: low("rdx") << 32n | low("rax") } };
  }
  return exit;
}

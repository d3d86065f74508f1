// THE table: every operation that is sensitive (it reads or changes the state of the machine, or behaves differently
// outside ring 0), and what each back end does about it. Translator and monitors take their treatment from here; exits,
// and so overhead, come out of it. Popek and Goldberg 1974; Robin and Irvine 2000; SDM vol. 3, 26.1.3.
//
// Simpler than life, on purpose:
// - direct: user code's SGDT, SIDT, SLDT, STR, SMSW, LAR and the like find the guest's tables. On a real CPU the translator's own
//   are loaded while user code runs, and these instructions give them away, for they don't fault. That leak would be a
//   divergence of every run; the guest gets the right answer here. Nor is POPF at IOPL 3 translated: it sees the guest's IF.
// - intercepted: of CR0, CR4 and MSRs the guest owns a part (`intercepts.ts`). PAUSE-loop exiting is off, as one vCPU waits for
//   no other; every MOV DR exits, where KVM hands the registers over at the first; KVM's exits for #DB, #UD and #AC are left out.
// - deprivileged: whatever CPL 3 may not do ends the run, so that the verdict can name it. Xen does a few privileged
//   instructions for the kernel of its guest (MOV CR, CLTS, INVLPG, WBINVD); of those, only the MSRs of segment bases are here.
import type { ExitKind } from "../trace/exit.ts";

/**
 * What happens to a sensitive operation.
 * - `execute`: the CPU does it, with the architecture's own checks.
 * - `inline`: translated code does it on the virtual CPU's state, without leaving.
 * - `callout`: translated code calls the VMM.
 * - `vm-exit`: an intercept control makes the CPU leave the guest (after the architecture's privilege checks).
 * - `hypercall`: it is the guest's own gate into the VMM.
 * - `fault`: the CPU, at CPL 3, refuses it (or is made to), and the VMM gets the exception.
 */
export type Treatment = "execute" | "inline" | "callout" | "vm-exit" | "hypercall" | "fault";

/** How a back end executes its guest: the columns of the table. */
export const TECHNIQUES = ["bare", "translated", "direct", "intercepted", "deprivileged"] as const;
/** One of {@linkcode TECHNIQUES}: `translated` is the kernel and `direct` the user mode of binary translation. */
export type Technique = typeof TECHNIQUES[number];

/** What is known of one sensitive operation. */
export interface SensitiveRow {
  /** Must the CPU be privileged (CPL 0, or IOPL) for it? If not, it is the kind that breaks trap-and-emulate. */
  readonly privileged: boolean;
  /** The kind of exit it makes where it exits. */
  readonly exit: ExitKind;
  /** By technique, in the order: bare, translated (kernel under BT), direct (user under BT), intercepted, deprivileged. */
  readonly treatments: readonly [Treatment, Treatment, Treatment, Treatment, Treatment];
}

const row = (
  privileged: boolean,
  exit: ExitKind,
  ...treatments: SensitiveRow["treatments"]
): SensitiveRow => ({
  privileged,
  exit,
  treatments,
});

/**
 * The table, by operation: is it privileged, what kind of exit does it make, and what does each technique do about it?
 *
 * @example On x86 POPF is sensitive, not privileged: hardware runs it, a translator must not, and `para` can't see it
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { privileged, treatments } = SENSITIVE_OPERATIONS.popf;
 * assertEquals(privileged, false);
 * assertEquals(treatments[TECHNIQUES.indexOf("intercepted")], "execute");
 * assertEquals(treatments[TECHNIQUES.indexOf("translated")], "inline");
 * assertEquals(treatments[TECHNIQUES.indexOf("deprivileged")], "execute");
 * ```
 */
// deno-fmt-ignore
export const SENSITIVE_OPERATIONS = {
  //                            privileged  exit kind             bare       translated direct     intercepted deprivileged
  //                                                              native     full-bt,   full-bt,   full-hw,    para
  //                                                                         kernel     user       hybrid
  "port-io":              row(true,  "io",                 "execute", "callout", "execute", "vm-exit", "execute"),
  "cpuid":                row(false, "cpuid",              "execute", "inline",  "execute", "vm-exit", "execute"),
  "hlt":                  row(true,  "hlt",                "execute", "callout", "execute", "vm-exit", "execute"),
  "rdtsc":                row(false, "rdtsc",              "execute", "inline",  "execute", "execute", "execute"),
  "rdtscp":               row(false, "rdtscp",             "execute", "inline",  "execute", "execute", "execute"),
  "rdpmc":                row(true,  "rdpmc",              "execute", "callout", "execute", "vm-exit", "execute"),
  "rdmsr":                row(true,  "msr-read",           "execute", "callout", "execute", "vm-exit", "execute"),
  "wrmsr":                row(true,  "msr-write",          "execute", "callout", "execute", "vm-exit", "execute"),
  "mov-from-cr":          row(true,  "cr-access",          "execute", "inline",  "execute", "execute", "execute"),
  "mov-from-cr3":         row(true,  "cr-access",          "execute", "inline",  "execute", "execute", "execute"),
  "mov-to-cr0":           row(true,  "cr-access",          "execute", "callout", "execute", "vm-exit", "execute"),
  "mov-to-cr3":           row(true,  "cr-access",          "execute", "callout", "execute", "execute", "execute"),
  "mov-to-cr4":           row(true,  "cr-access",          "execute", "callout", "execute", "vm-exit", "execute"),
  "mov-to-cr2":           row(true,  "cr-access",          "execute", "inline",  "execute", "execute", "execute"),
  "mov-cr8":              row(true,  "cr-access",          "execute", "inline",  "execute", "execute", "execute"),
  "clts":                 row(true,  "cr-access",          "execute", "inline",  "execute", "execute", "execute"),
  "lmsw":                 row(true,  "cr-access",          "execute", "callout", "execute", "vm-exit", "execute"),
  "smsw":                 row(false, "cr-access",          "execute", "inline",  "execute", "execute", "execute"),
  "mov-dr":               row(true,  "dr-access",          "execute", "callout", "execute", "vm-exit", "execute"),
  "invlpg":               row(true,  "invlpg",             "execute", "callout", "execute", "execute", "execute"),
  "invd":                 row(true,  "invd",               "execute", "callout", "execute", "vm-exit", "execute"),
  "wbinvd":               row(true,  "wbinvd",             "execute", "callout", "execute", "vm-exit", "execute"),
  "lgdt-lidt":            row(true,  "gdtr-idtr",          "execute", "callout", "execute", "execute", "execute"),
  "sgdt-sidt":            row(false, "gdtr-idtr",          "execute", "inline",  "execute", "execute", "execute"),
  "lldt-ltr":             row(true,  "ldtr-tr",            "execute", "callout", "execute", "execute", "execute"),
  "sldt-str":             row(false, "ldtr-tr",            "execute", "inline",  "execute", "execute", "execute"),
  "lar-lsl-verr-verw":    row(false, "instruction",        "execute", "inline",  "execute", "execute", "execute"),
  "pushf":                row(false, "instruction",        "execute", "inline",  "execute", "execute", "execute"),
  "popf":                 row(false, "instruction",        "execute", "inline",  "execute", "execute", "execute"),
  "cli-sti":              row(true,  "instruction",        "execute", "inline",  "fault",   "execute", "execute"),
  "segment-load":         row(false, "instruction",        "execute", "callout", "execute", "execute", "execute"),
  "segment-store":        row(false, "instruction",        "execute", "inline",  "execute", "execute", "execute"),
  "far-transfer":         row(false, "instruction",        "execute", "callout", "execute", "execute", "execute"),
  "task-switch":          row(false, "task-switch",        "execute", "callout", "fault",   "vm-exit", "execute"),
  "iret":                 row(false, "instruction",        "execute", "callout", "execute", "execute", "execute"),
  "int-n":                row(false, "software-interrupt", "execute", "callout", "fault",   "execute", "fault"),
  "syscall":              row(false, "syscall",            "execute", "callout", "fault",   "execute", "hypercall"),
  "sysret":               row(true,  "instruction",        "execute", "callout", "execute", "execute", "execute"),
  "swapgs":               row(true,  "instruction",        "execute", "inline",  "execute", "execute", "execute"),
  "vmcall":               row(false, "vmcall",             "execute", "callout", "fault",   "vm-exit", "fault"),
  "xsetbv":               row(true,  "xsetbv",             "execute", "callout", "execute", "vm-exit", "execute"),
  "monitor-mwait":        row(true,  "mwait",              "execute", "callout", "execute", "vm-exit", "execute"),
  "pause":                row(false, "pause",              "execute", "inline",  "execute", "execute", "execute"),
  "indirect-branch":      row(false, "instruction",        "execute", "inline",  "execute", "execute", "execute"),
} as const satisfies Readonly<Record<string, SensitiveRow>>;

/** A row of the table: instructions that differ in nothing the table is about share one. */
export type SensitiveOperation = keyof typeof SENSITIVE_OPERATIONS;

/** What is done about every sensitive operation in one mode of one run. */
export type TreatmentTable = Readonly<Record<SensitiveOperation, Treatment>>;

/** A column of the table, with `changes` for what a monitor's options turn on or off. */
export function treatments(
  technique: Technique,
  changes: Partial<Record<SensitiveOperation, Treatment>> = {},
): TreatmentTable {
  const column = TECHNIQUES.indexOf(technique);
  const entries = Object.entries(SENSITIVE_OPERATIONS).map((
    [name, { treatments }],
  ) => [name, treatments[column]]);
  return { ...Object.fromEntries(entries), ...changes };
}

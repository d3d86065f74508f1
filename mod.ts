/**
 * trivisor: a declarative test harness for virtual machine monitors.
 *
 * A YAML scenario describes a guest program and the VM exits or device I/O expected from it. The functions here are the
 * stages of the pipeline, in order: {@linkcode parseScenario}, {@linkcode plan}, {@linkcode buildGuest},
 * {@linkcode Subject.run}, {@linkcode judgeGroup}; {@linkcode runGroup} is the last three of them in one. Every stage
 * hands on plain values. Nothing here touches files, the network or the terminal, but for {@linkcode Subjects}, which reaches
 * KVM, QEMU and VMMs of one's own where it is asked for them. On the embedded engine only `Trace.wallNs` depends on the clock
 * on the wall: everything else comes out the same on every run and every machine.
 *
 * {@linkcode SENSITIVE_OPERATIONS} is the table that the rest follows from: every sensitive operation of x86, and what
 * each way of virtualizing does about it.
 *
 * @example From YAML to a verdict
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { costProfile, parseScenario, plan, runGroup } from "@trivisor/trivisor";
 *
 * const text = `
 * why: A byte for a serial port is an exit under hardware assistance, and none on bare metal.
 * guest:
 *   program: |
 *     start:
 *         mov   dx, 0x3f8
 *         mov   al, 'A'
 *         out   dx, al
 *         hlt
 * requires: { backend: [native, full-hw] }
 * expect: { console: "A", end: halt }
 * per:
 *   native: { exits: { counts: { total: 0 } } }
 *   full-hw: { exits: { exactly: [{ io: { port: 0x3f8, value: 0x41 } }, hlt] } }
 * `;
 * const { scenario } = parseScenario({ name: "byte.yaml", text }, "byte");
 * const profile = costProfile("kvm-2017");
 * assert(scenario && profile);
 * for (const group of plan(scenario, { backends: ["native", "full-hw"] })) {
 *   const result = await runGroup(group, { profile });
 *   assertEquals(result.verdict, "passed");
 *   assertEquals(result.cases.map((c) => c.figures?.exits.total), [0, 2]);
 * }
 * ```
 *
 * @example The stages one by one, to keep the trace
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import {
 *   buildGuest,
 *   costProfile,
 *   judgeGroup,
 *   parseScenario,
 *   plan,
 *   type RunOutcome,
 *   subjectOf,
 * } from "@trivisor/trivisor";
 *
 * const text = "why: CPUID leaves the guest.\nguest: { program: 'start: cpuid' }\nlimits: { instructions: 1 }";
 * const { scenario } = parseScenario({ name: "cpuid.yaml", text }, "cpuid");
 * const profile = costProfile("kvm-2017");
 * assert(scenario && profile);
 * const [group] = plan(scenario, { backends: ["hybrid"] });
 * const [planned] = group?.cases ?? [];
 * assert(group && planned && planned.skip === undefined);
 *
 * const subject = subjectOf(planned);
 * assert(subject);
 * const { image, diagnostics } = buildGuest(group.guest, subject.platform);
 * assert(image, diagnostics[0]?.message);
 * const trace = subject.run({ group, subject: planned, image, profile });
 * assertEquals(trace.events.map((event) => event.type === "exit" && event.exit.kind), ["cpuid"]);
 *
 * const outcomes = new Map<string, RunOutcome>([[planned.id, { trace, image }]]);
 * assertEquals(trace.end, { kind: "limit", limit: "instructions" });
 * // Nobody said that the limit is how this one should end.
 * assertEquals(judgeGroup(group, outcomes).verdict, "failed");
 * ```
 *
 * @example The same scenario on real KVM beside the embedded engine; where there is no KVM, the case is skipped and says why
 * ```ts
 * import { assert } from "@std/assert";
 * import { costProfile, parseScenario, plan, runGroup, Subjects } from "@trivisor/trivisor";
 *
 * const text = "why: A byte for a port.\nguest: { entry: real16, program: \"start: out 0x80, al\\nhlt\" }";
 * const { scenario } = parseScenario({ name: "byte.yaml", text }, "byte");
 * const profile = costProfile("kvm-2017");
 * assert(scenario && profile);
 * const subjects = new Subjects();
 * for (const group of plan(scenario, { backends: ["full-hw"], engines: ["embedded", "kvm"] })) {
 *   const { cases } = await runGroup(group, { profile, subjects });
 *   assert(cases.every(({ figures, reason }) => figures !== undefined || reason !== undefined));
 * }
 * await subjects.close();
 * ```
 *
 * @module
 */

// The stages, in order.
export { parseScenario } from "./core/scenario/parse.ts";
export type { ParsedScenario } from "./core/scenario/parse.ts";
export { plan } from "./core/scenario/plan.ts";
export type { Selection } from "./core/scenario/plan.ts";
export { buildGuest } from "./core/guest/build.ts";
export type { BuildOptions, Built } from "./core/guest/build.ts";
export { subjectOf } from "./core/vmm/subjects.ts";
export { type Inspected, type SubjectOptions, Subjects } from "./core/foreign/subjects.ts";
export {
  type Availability,
  type Found,
  type Job,
  type LocalSubject,
  type Subject,
  type SubjectSource,
} from "./core/vmm/subject.ts";
export { SubjectLacks } from "./core/engine/lacks.ts";
export { judgeGroup } from "./core/judge/judge.ts";
export type { RunOutcome } from "./core/judge/judge.ts";
export { runGroup } from "./core/judge/run_group.ts";
export type { GroupContext } from "./core/judge/run_group.ts";
export { Lanes } from "./core/judge/lanes.ts";
export type { Widths } from "./core/judge/lanes.ts";

// What costs are modelled on.
export { compiledProfile as costProfile } from "./core/vmm/compiled_profiles.ts";
export { parseCostProfile } from "./core/vmm/parse_profile.ts";
export type { ParsedProfile } from "./core/vmm/parse_profile.ts";
export type { CostLayer, CostProfile, Figure } from "./core/vmm/cost_profile.ts";

// The table, and the names of what can be tested.
export { SENSITIVE_OPERATIONS, TECHNIQUES } from "./core/cpu/sensitive_operations.ts";
export type {
  SensitiveOperation,
  SensitiveRow,
  Technique,
  Treatment,
} from "./core/cpu/sensitive_operations.ts";
export { BACKENDS, ENGINES } from "./core/base/backend.ts";
export type { Backend, Engine, SubjectId } from "./core/base/backend.ts";

// What the stages hand on.
export { renderDiagnostic } from "./core/base/diagnostic.ts";
export type { Diagnostic } from "./core/base/diagnostic.ts";
export type { SourceFile, Span } from "./core/base/source.ts";
export type * from "./core/scenario/scenario.ts";
export * from "./core/scenario/case.ts";
export * from "./core/guest/image.ts";
export * from "./core/trace/exit.ts";
export * from "./core/trace/trace.ts";
export type * from "./core/judge/result.ts";
export type { Camp, Divergence } from "./core/judge/divergence.ts";
export type { Deviation, Known, Ledger } from "./core/judge/known/deviation.ts";
export { parseLedger } from "./core/judge/known/read.ts";
export type { ParsedLedger } from "./core/judge/known/read.ts";
export { VERDICTS } from "./core/judge/verdict.ts";
export type { Verdict } from "./core/judge/verdict.ts";

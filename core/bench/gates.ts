// What a hypercall of a ported guest costs on KVM by each of its gates, there and back with our monitor between: the same loop with
// another instruction in the hypercall page, in turns. `deno run -A core/bench/gates.ts` prints it.
import type { Gates } from "../engine/deprivileged/engine.ts";
import { kvmSystem, kvmWith } from "../engine/kvm/engine.ts";
import { hostOf } from "../engine/kvm/host.ts";
import { buildGuest } from "../guest/build.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
import { para } from "../vmm/para/para.ts";
import { runCase } from "../vmm/runner.ts";
import { DEFAULT_PROFILE } from "../vmm/compiled_profiles.ts";
import { shippedProfile } from "../vmm/shipped_profiles.ts";
import { parseCostProfile } from "../vmm/parse_profile.ts";
import { describeEnd } from "../trace/print.ts";
import type { Trace } from "../trace/trace.ts";
import { type Estimate, estimate, estimateRatio } from "./statistics.ts";

/** Of one run, whatever the host: it is to end by the limit on exits. */
const SLOWEST_MS = 120_000;

/** SCHEDOP_yield by the hypercall page, until the limit on exits. */
const storm = (hypercalls: number) =>
  `why: Hypercalls, to be timed
requires: { backend: [para] }
guest:
  entry: long64
  program: |
    start:
        xor   edi, edi
        xor   esi, esi
        call  0x44000 + 32 * 29
        jmp   start
limits: { exits: ${hypercalls} }
expect: { end: { limit: exits } }
`;

/** A way in, and its name in tables. */
interface Way extends Gates {
  readonly name: string;
}

/** What came of one way. */
export interface GateResult {
  readonly name: string;
  /** Nanoseconds a hypercall, and how that compares with the first way. */
  readonly ns: Estimate;
  readonly ratio: Estimate;
  /** Exits of the guest a hypercall, as KVM counts them: coarse. */
  readonly exits: number;
  /** Why there are no figures: how the guest has ended, which by this gate does not get out. */
  readonly not?: string;
}

/** The ways that this host has, the slowest first. */
function waysHere(): Way[] {
  const system = kvmSystem();
  const ways: Way[] = [
    { name: "syscall, refused", systemCalls: "refused" },
    { name: "syscall, entered", systemCalls: "entry" },
    { name: "port", gate: "port" },
  ];
  // The other vendor's instruction would be patched by KVM.
  if (!system.showsHypercalls) return ways;
  const gate = hostOf(system).host === "vmx" ? "vmcall" : "vmmcall";
  return [...ways, { name: gate, gate }];
}

/** Measures each way so many times. Throws `KvmUnavailable` where there is no KVM. */
export function measureGates(rounds: number, hypercalls: number): GateResult[] {
  const { scenario } = parseScenario({ name: "gates.yaml", text: storm(hypercalls) }, "gates");
  const [group] = scenario ? plan(scenario, { backends: ["para"], engines: ["kvm"] }) : [];
  const [subject] = group?.cases ?? [];
  const file = shippedProfile(DEFAULT_PROFILE);
  const profile = file && parseCostProfile(file).profile;
  if (!group || !subject || !profile) throw new Error("The loop of hypercalls is no case");
  const limits = { ...group.limits, wallMs: SLOWEST_MS, time: SLOWEST_MS * 1e6 };
  const { image } = buildGuest(group.guest, "xen", {});
  if (!image) throw new Error("The loop of hypercalls does not assemble");
  const ways = waysHere().map((way) => ({ ...way, engine: kvmWith(way) }));
  const samples = ways.map((): number[] => []);
  const exits = ways.map(() => 0);
  const not = new Map<number, string>();
  for (let round = -1; round < rounds; round++) {
    ways.forEach(({ engine }, n) => {
      if (not.has(n)) return;
      const trace: Trace = runCase({
        group: { ...group, limits },
        subject,
        image,
        profile,
        backend: para,
        engine,
      });
      const made = trace.counts.exits.kinds.hypercall ?? 0;
      if (made !== hypercalls) return void not.set(n, describeEnd(trace.end));
      exits[n] = (trace.coarse?.["exits"] ?? 0) / hypercalls;
      if (round >= 0) samples[n]?.push(trace.wallNs / hypercalls);
    });
  }
  return ways.map(({ name }, n) => ({
    name,
    ns: estimate(samples[n] ?? []),
    ratio: estimateRatio(samples[n] ?? [], samples[0] ?? []),
    exits: exits[n] ?? 0,
    ...(not.has(n) ? { not: not.get(n) ?? "" } : {}),
  }));
}

if (import.meta.main) {
  const [rounds = 15, hypercalls = 2_000] = Deno.args.map(Number);
  for (const { name, ns, ratio, exits, not } of measureGates(rounds, hypercalls)) {
    if (not !== undefined) {
      Deno.stdout.writeSync(new TextEncoder().encode(`${name.padEnd(18)} not here: ${not}\n`));
      continue;
    }
    const bounds = `${ns.low.toFixed(0)} to ${ns.high.toFixed(0)}`;
    const times = `${ratio.median.toFixed(2)}x`;
    const time = `${ns.median.toFixed(0).padStart(8)} ns (${bounds})`;
    const line = `${name.padEnd(18)} ${time}  ${times}  ${exits.toFixed(2)} exits\n`;
    Deno.stdout.writeSync(new TextEncoder().encode(line));
  }
}

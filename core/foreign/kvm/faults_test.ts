// Guests that mean no good, and threads ended in the middle of their work: a verdict in time, nothing lost, nothing left.
// `deno task faults --subject kvm` makes a thousand runs.
import { assert, assertEquals } from "@std/assert";
import { KVM_UNAVAILABLE } from "../../engine/kvm/testing.ts";
import { Random } from "../../engine/oracle/random.ts";
import { endure } from "../testing_faults.ts";
import { assertNothingLeft, census, countMaps } from "../testing_faults_census.ts";
import { guestJob } from "../testing_faults_guests.ts";
import { Hand } from "./hand.ts";
import { kvmTrials } from "./testing_faults.ts";

/**
 * A thread that is given up after so many milliseconds is in the middle of a run that would take this long. Where others keep the
 * host so busy that it has not come to have a machine by then, it gets twice as long.
 */
const GIVEN_UP = 300, ENDLESS = 20_000;
/** Looks for its machine meanwhile. What comes late comes before the thread is given up, as that is due after it. */
const LOOKS = 5;

for (
  const [guest, cpus, text] of [
    ["", 1, "start: jmp start"],
    [
      " of several CPUs",
      4,
      '%include "lib/smp.inc"\nstart: start_cpus other\nother: cli\njmp other',
    ],
  ] as const
) {
  Deno.test({
    name: `a thread that does not come back from a guest${guest} holds nothing any more${
      KVM_UNAVAILABLE ? ` (skipped: ${KVM_UNAVAILABLE})` : ""
    }`,
    ignore: KVM_UNAVAILABLE !== undefined,
    fn: async () => {
      const token = `kvm-thread-${crypto.randomUUID()}`;
      const hand = new Hand();
      assertEquals((await hand.ask({ type: "probe" }, ENDLESS)).type, "system");
      await hand.close();
      const before = await census(token);
      const job = guestJob("full-hw", "kvm", text, { limits: { wallMs: ENDLESS }, cpus });
      const stop = new SharedArrayBuffer(4);
      const asked = { type: "run", backend: "full-hw", job, options: {}, stop } as const;
      let most = 0;
      for (let ms = GIVEN_UP; most <= before.maps; ms *= 2) {
        assert(ms < ENDLESS, "there was a machine");
        const watch = setInterval(() => most = Math.max(most, countMaps()), ms / LOOKS);
        const { type } = await hand.ask(asked, ms);
        clearInterval(watch);
        assertEquals(type, "silent");
      }
      await assertNothingLeft(before, token);
      await hand.close();
    },
  });
}

/** The same in every test; `deno task faults` tries others. */
const SEED = 2026;
const RUNS = 70, PARALLEL = 3;

Deno.test({
  name: `whatever a guest does on KVM has a verdict and leaves nothing${
    KVM_UNAVAILABLE ? ` (skipped: ${KVM_UNAVAILABLE})` : ""
  }`,
  ignore: KVM_UNAVAILABLE !== undefined,
  fn: async () => {
    const token = `kvm-faults-${crypto.randomUUID()}`;
    try {
      // What the first thread brings with it stays: libraries, the pool of Deno's.
      await endure(kvmTrials(new Random(SEED), 1), 1);
      const before = await census(token);
      await endure(kvmTrials(new Random(SEED + 1), RUNS), PARALLEL);
      await assertNothingLeft(before, token);
    } catch (error) {
      throw new Error(`Seed ${SEED}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  },
});

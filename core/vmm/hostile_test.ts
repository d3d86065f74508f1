// Guests that mean no good, found by running them at random: each made a run throw, or take a thousand times its share.
import { assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import type { Limits } from "../scenario/case.ts";
import type { EndState } from "../trace/exit.ts";
import { gate, runProgram } from "./testing_runs.ts";

const PC_BACKENDS: readonly Backend[] = [
  "native",
  "full-bt",
  "full-hw",
  "full-hw/shadow",
  "hybrid",
];

interface Hostile {
  readonly text: string;
  readonly end: EndState;
  readonly limits?: Partial<Limits>;
}

/** Far more than any of these takes: who needs it translates what it runs but once. */
const WALL_MS = 5_000;

const GUESTS: Readonly<Record<string, Hostile>> = {
  // No interrupt will come: MWAIT ends all the same, on bare hardware and wherever it exits.
  "waits for a store with interrupts on": {
    text: `start:
    mov   eax, 0x110000
    xor   ecx, ecx
    xor   edx, edx
    monitor
    sti
    xor   eax, eax
    mwait
    mov   al, 5
    out   0xf4, al`,
    end: { kind: "shutdown", code: 5 },
  },
  // The page is not there: a page fault, and the RIP that means "nothing" in the jump cache.
  "jumps to the last address there is": {
    text: `start:
    ${gate(14, "fault")}
    mov   rbx, -1
    jmp   rbx
fault:
    hlt`,
    end: { kind: "halt" },
  },
  // Zeroed memory is "add [rax], al": two accesses to a device for each two bytes, and no instruction stands there twice.
  "runs through zeroed memory into device memory": {
    text: "start:\n    mov eax, 0xfec00000\n    mov ebx, 0x110000\n    jmp rbx",
    limits: { instructions: 5_000, exits: 100_000, wallMs: WALL_MS },
    end: { kind: "limit", limit: "instructions" },
  },
  "runs through zeroed memory into a page table": {
    text: "start:\n    mov eax, 0x7f00\n    mov ebx, 0x110000\n    jmp rbx",
    limits: { instructions: 5_000, exits: 100_000, wallMs: WALL_MS },
    end: { kind: "limit", limit: "instructions" },
  },
};

for (const [what, { text, end, limits = {} }] of Object.entries(GUESTS)) {
  for (const backend of PC_BACKENDS) {
    Deno.test(`${backend} ends a guest that ${what}`, () => {
      assertEquals(runProgram(backend, text, { limits }).end, end);
    });
  }
}

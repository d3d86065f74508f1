// Shadow paging against the guest's own tables: random changes of page tables, and accesses through them, must come out the
// same on every back end, down to error codes and to accessed and dirty bits.
import { assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { gate, generator, runProgram } from "./testing_runs.ts";

const WINDOW = 0x40000000;
const PAGES = 4;
/** Two page tables for the window, by turns, and its page directory. */
const TABLES = [0x180000, 0x182000];
const DIRECTORY = 0x181000;
/** The loader's page-directory-pointer entry of the window's gigabyte. */
const POINTER = 0x4008;
const FRAMES = 0x1a0000;

const hexadecimal = (n: number) => "0x" + n.toString(16);

/** A program of `length` random steps; its checksum is in RBX at the end. */
function program(seed: number, length: number): string {
  const random = generator(seed);
  const lines: string[] = [
    "start:",
    gate(14, "fault"),
    `mov qword [${POINTER}], ${DIRECTORY} + 7`,
    `mov qword [${DIRECTORY}], ${TABLES[0]} + 7`,
    "xor ebx, ebx",
  ];
  const page = () => WINDOW + 4096 * random(PAGES);
  const pick = <T>(...values: readonly [T, ...T[]]): T =>
    values[random(values.length)] ?? values[0];
  for (let i = 0; i < length; i++) {
    const linear = page();
    const address = hexadecimal(linear + 8 * random(512));
    lines.push(`lea r14, [rel after${i}]`, `mov r13, ${address}`);
    switch (random(10)) {
      case 0:
      case 1: {
        // A frame, or (an alias of) a page table.
        const target = random(6) === 0
          ? pick(...TABLES as [number, number])
          : FRAMES + 4096 * random(4);
        const flags = pick(1, 3, 3, 3, 7, 0x63, 0x23, 0);
        const table = pick(...TABLES as [number, number]);
        const slot = table + 8 * (linear - WINDOW) / 4096;
        lines.push(
          `mov eax, ${hexadecimal(target + flags)}`,
          `mov [${hexadecimal(slot)}], rax`,
          `mov r12, ${hexadecimal(linear)}`,
          "invlpg [r12]",
        );
        break;
      }
      case 2:
        // Read a page-table entry: accessed and dirty bits are seen.
        lines.push(
          `mov rax, [${hexadecimal(pick(...TABLES as [number, number]) + 8 * random(PAGES))}]`,
          "rol rbx, 3",
          "xor rbx, rax",
        );
        break;
      case 3:
        lines.push("mov rax, cr0", "xor eax, 0x10000", "mov cr0, rax");
        break;
      case 4:
        lines.push(
          `mov eax, ${hexadecimal(pick(...TABLES as [number, number]) + pick(3, 7, 1))}`,
          `mov [${DIRECTORY}], rax`,
          "mov rax, cr3",
          "mov cr3, rax",
        );
        break;
      case 5:
      case 6:
        // Flushed first: what a stale translation would do is up to the processor.
        lines.push("mov rax, cr3", "mov cr3, rax", `mov rax, [r13]`, "rol rbx, 7", "add rbx, rax");
        break;
      case 7:
        lines.push("mov rax, cr3", "mov cr3, rax", `add qword [r13], ${random(1000)}`);
        break;
      case 8:
        lines.push(
          "mov rax, cr3",
          "mov cr3, rax",
          "push rbx",
          `mov [r13+${random(9)}], bx`,
          "pop rbx",
        );
        break;
      case 9: {
        // Through a mapping, where an entry would be if that were a page table.
        const entry = FRAMES + 4096 * random(4) + pick(3, 7, 0x63);
        lines.push(
          "mov rax, cr3",
          "mov cr3, rax",
          `mov eax, ${hexadecimal(entry)}`,
          `mov [${hexadecimal(linear + 8 * random(PAGES))}], rax`,
          "mov rax, cr3",
          "mov cr3, rax",
        );
        break;
      }
    }
    lines.push(`after${i}:`);
  }
  lines.push(
    "hlt",
    "fault:",
    "    xchg rax, [rsp]",
    "    rol rbx, 5",
    "    xor rbx, rax",
    "    mov rax, cr2",
    "    add rbx, rax",
    "    pop rax",
    "    mov [rsp], r14",
    "    iretq",
  );
  return lines.join("\n");
}

const SHADOWED: readonly Backend[] = ["full-bt", "full-hw/shadow", "full-hw"];
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

for (const seed of SEEDS) {
  Deno.test(`shadow paging does what page tables say when they change at random (seed ${seed})`, () => {
    const text = program(0x9e3779b9 * seed, 250);
    const run = (backend: Backend) => {
      const { end, final, counts } = runProgram(backend, text);
      const { rbx, cr2, cr0 } = final.registers;
      return { end, rbx, cr2, cr0, instructions: counts.instructions };
    };
    const native = run("native");
    for (const backend of SHADOWED) assertEquals(run(backend), native, `${backend}, seed ${seed}`);
  });
}

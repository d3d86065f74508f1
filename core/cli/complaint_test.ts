import { assertEquals } from "@std/assert";
import { Complaint, complaintOf } from "./complaint.ts";

const CASES: readonly (readonly [error: unknown, text: string, exitCode: number])[] = [
  [new Complaint("There is no such thing"), "There is no such thing", 2],
  [
    new Error("No space left on device (os error 28)"),
    "The system says: No space left on device (os error 28)",
    3,
  ],
  [new TypeError("x"), "A defect of trivisor, please report it: TypeError: x", 3],
];

for (const [error, text, exitCode] of CASES) {
  Deno.test(`complaintOf() says "${text}"`, () => {
    const told = complaintOf(error);
    assertEquals([told.text, told.exitCode], [text, exitCode]);
  });
}

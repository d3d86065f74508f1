// The table is generated once and committed: it must be what the generator would write today.
import { assert, assertEquals } from "@std/assert";
import { formsOf, mnemonics } from "./forms.ts";
import { generateForms } from "./generate_mnemonics.ts";
import { FORMS } from "./mnemonics.gen.ts";

Deno.test("FORMS is what the generator writes", () => {
  assertEquals(FORMS, Object.fromEntries(generateForms()));
});

Deno.test("FORMS has every alias that people write", () => {
  const aliases =
    "jz jnz jc jnc jnae jnbe jpe jpo setz setnbe cmovz cmovnge sal loopz loopnz retn repz_ret";
  for (const alias of aliases.split(" ").slice(0, -1)) {
    assert(formsOf(alias), alias);
  }
  assertEquals(formsOf("repz_ret"), undefined);
  assertEquals(formsOf("constructor"), undefined, "names of Object's own are no mnemonics");
});

Deno.test("every form names kinds that are known, and operands that are written", () => {
  for (const mnemonic of mnemonics()) {
    for (const form of formsOf(mnemonic) ?? []) {
      for (const { from } of form.encoded) {
        assert(from === undefined || from < form.kinds.length, mnemonic);
      }
      form.accepts.forEach((kind, i) => {
        const vector = /vsib|^k|zmm|tmm|is5|sibmem|m2z|vvvv$/.test(form.kinds[i] ?? "");
        assert(kind || vector, `${mnemonic}: ${form.kinds[i]}`);
      });
    }
  }
});

import { assertEquals } from "@std/assert";
import { compiledProfile } from "./compiled_profiles.ts";
import { parseCostProfile } from "./parse_profile.ts";
import { SHIPPED_PROFILES, shippedProfile } from "./shipped_profiles.ts";

for (const name of SHIPPED_PROFILES) {
  Deno.test(`compiledProfile() is what fixtures/costs/${name}.yaml says`, () => {
    const file = shippedProfile(name);
    assertEquals(compiledProfile(name), file && parseCostProfile(file).profile);
  });
}

Deno.test("compiledProfile() is undefined when there is none of this name", () => {
  assertEquals(compiledProfile("nope"), undefined);
  assertEquals(compiledProfile("__proto__"), undefined);
});

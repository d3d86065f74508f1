// Holds the architecture: a folder imports only the folders before it, and what must run in a browser touches no Deno API.
import { assertEquals } from "@std/assert";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const CORE = dirname(fileURLToPath(import.meta.url));

/** The pipeline, in order. Each may import itself and the ones before it. */
const LAYERS = [
  "base",
  "trace",
  "scenario",
  "guest",
  "machine",
  "cpu",
  "engine",
  "vmm",
  "foreign",
  "judge",
  "bench",
  "report",
  "cli",
];

/** These run in a browser worker: no Deno API, nothing of Node. */
const PORTABLE = new Set(LAYERS.slice(0, LAYERS.indexOf("vmm") + 1));
/** In portable layers, but not part of the pipeline: fixtures of tests, and what is run by hand to generate a file. */
const NOT_SHIPPED = /(engine\/oracle\/[a-z_]+|_test|testing[a-z_]*|generate_[a-z_]+)\.ts$/;

interface Source {
  readonly path: string;
  readonly layer: string;
  readonly text: string;
}

async function sources(folder = CORE): Promise<Source[]> {
  const found: Source[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) found.push(...await sources(path));
    else if (entry.name.endsWith(".ts") && folder !== CORE) {
      const [layer = ""] = relative(CORE, path).split("/");
      found.push({ path, layer, text: await Deno.readTextFile(path) });
    }
  }
  return found;
}

/** Specifiers of static and dynamic imports and of re-exports. */
function imports(text: string): string[] {
  const patterns = [
    /^\s*(?:import|export)\s[^"';]*?from\s*"([^"]+)"/gm,
    /\bimport\(\s*"([^"]+)"/g,
    /^\s*import\s*"([^"]+)"/gm,
  ];
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? ""));
}

Deno.test("every folder of core/ is a layer of the pipeline", async () => {
  const layers = new Set((await sources()).map(({ layer }) => layer));
  assertEquals([...layers].filter((layer) => !LAYERS.includes(layer)), []);
});

Deno.test("a layer imports only itself and the layers before it", async () => {
  const wrong: string[] = [];
  for (const { path, layer, text } of await sources()) {
    // A test may set up the layers above the one it tests.
    if (path.endsWith("_test.ts")) continue;
    for (const specifier of imports(text)) {
      if (!specifier.startsWith(".")) continue;
      const target = relative(CORE, resolve(dirname(path), specifier)).split("/")[0] ?? "";
      if (target === "..") continue;
      if (LAYERS.indexOf(target) > LAYERS.indexOf(layer)) {
        wrong.push(`${relative(CORE, path)} -> ${specifier}`);
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("what runs in a browser touches no Deno API and nothing of Node", async () => {
  const wrong: string[] = [];
  for (const { path, layer, text } of await sources()) {
    if (!PORTABLE.has(layer) || path.includes("/engine/kvm/") || NOT_SHIPPED.test(path)) continue;
    const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    if (/\bDeno\.|\bprocess\.|\bDate\.now\b|\bMath\.random\b/.test(code)) {
      wrong.push(relative(CORE, path));
    }
    if (imports(text).some((specifier) => specifier.startsWith("node:"))) {
      wrong.push(relative(CORE, path));
    }
  }
  assertEquals(wrong, []);
});

Deno.test("no set of iced's enumerations is compared with another type: that takes the type checker minutes", async () => {
  const slow = /: Readonly(Set|Map)<(Mnemonic|Code|Register)\b[^=;]*=\s*new (Set|Map)/;
  const wrong = (await sources()).filter(({ text }) => slow.test(text));
  assertEquals(wrong.map(({ path }) => relative(CORE, path)), []);
});

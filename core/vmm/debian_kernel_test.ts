// Unmodified kernels as guests. TRIVISOR_KERNEL names Debian's vmlinuz, and the machine has gcc and lz4: its only process is a
// program of `fixtures/programs`; that has to print what it prints here, and to power the machine off. TRIVISOR_XEN names
// Debian's Xen, a multiboot kernel that is strict about its machine.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { compile, FREESTANDING, hasCompiler, PC_BACKENDS, runFile, span } from "./testing_files.ts";
import { CHARACTER_DEVICE, DIRECTORY, EXECUTABLE, initramfs } from "./testing_initramfs.ts";

const KERNEL = Deno.env.get("TRIVISOR_KERNEL");
const XEN = Deno.env.get("TRIVISOR_XEN");
const COMMAND_LINE = "console=ttyS0 nokaslr rdinit=/init quiet";
const FLAGS = `-m64 -O2 ${FREESTANDING}`;
const SOURCES = ["programs/floating.c", "programs/runtime.c", "programs/native.c"];
/** How a frame of LZ4's legacy format begins: Debian's kernels are compressed so. */
const LZ4_LEGACY = [0x02, 0x21, 0x4c, 0x18];
/** A boot takes under two thousand million instructions. */
const LIMITS = { instructions: 6e9, exits: 1e8, time: 60e9, wallMs: 900_000 };

/** The ELF file, which has a PVH entry, in a bzImage. */
async function vmlinux(path: string): Promise<Uint8Array> {
  const image = await Deno.readFile(path);
  const at = image.findIndex((_, i) => LZ4_LEGACY.every((byte, k) => image[i + k] === byte));
  assert(at >= 0, `${path} is not compressed with LZ4`);
  const process = new Deno.Command("lz4", {
    args: ["-dc"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  })
    .spawn();
  const writer = process.stdin.getWriter();
  const written = writer.write(image.subarray(at)).then(() => writer.close());
  // What follows the frame is not LZ4's, so the status says nothing.
  const [{ stdout }] = await Promise.all([process.output(), written.catch(() => {})]);
  return stdout;
}

Deno.test({
  name: "Debian's Linux kernel boots, runs a program and powers off (TRIVISOR_KERNEL)",
  ignore: !KERNEL || !hasCompiler,
  async fn() {
    const guest = await vmlinux(KERNEL ?? "");
    const [init, expected] = await compile(FLAGS, SOURCES, async (path) => [
      await Deno.readFile(path),
      new TextDecoder().decode((await new Deno.Command(path).output()).stdout),
    ]);
    const initrd = initramfs([
      { name: "dev", mode: DIRECTORY },
      { name: "dev/console", mode: CHARACTER_DEVICE, device: [5, 1] },
      { name: "init", mode: EXECUTABLE, bytes: init },
    ]);
    const changes = {
      memory: 256 << 20,
      commandLine: COMMAND_LINE,
      modules: [{ value: "initrd", span }],
    };
    const { text, end } = runFile("native", { guest, initrd }, changes, LIMITS);
    assertStringIncludes(text.replaceAll("\r", ""), expected);
    assertEquals(end, { kind: "shutdown", code: 0 });
  },
});

Deno.test({
  name: "Debian's Xen starts, misses a first domain, and reboots, on every back end (TRIVISOR_XEN)",
  ignore: !XEN,
  async fn() {
    const { body } = new Response(await Deno.readFile(XEN ?? ""));
    assert(body);
    const plain = new Response(body.pipeThrough(new DecompressionStream("gzip")));
    const guest = new Uint8Array(await plain.arrayBuffer());
    const changes = { memory: 128 << 20, commandLine: "com1=115200,8n1 console=com1" };
    for (const backend of PC_BACKENDS) {
      const { text, end } = runFile(backend, { guest }, changes, LIMITS);
      assertStringIncludes(text, "Xen version", backend);
      assertStringIncludes(text, "dom0 kernel not specified", backend);
      assertEquals(end, { kind: "triple-fault" }, backend);
    }
  },
});

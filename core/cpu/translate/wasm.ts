// WebAssembly, written byte by byte: function bodies and the modules around them. Only what the translator needs of the
// binary format (WebAssembly 2.0, section 5).

/** Value types. */
export const I32 = 0x7f, I64 = 0x7e, V128 = 0x7b, VOID = 0x40;
export type ValueType = typeof I32 | typeof I64 | typeof V128;
export type BlockType = ValueType | typeof VOID;

/** Opcodes, by their names in the specification. */
export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  local_get: 0x20,
  local_set: 0x21,
  local_tee: 0x22,
  i32_load: 0x28,
  i64_load: 0x29,
  i64_load8_u: 0x31,
  i64_load16_u: 0x33,
  i64_load32_u: 0x35,
  i32_store: 0x36,
  i64_store: 0x37,
  i64_store8: 0x3c,
  i64_store16: 0x3d,
  i64_store32: 0x3e,
  i32_const: 0x41,
  i64_const: 0x42,
  i32_eqz: 0x45,
  i32_eq: 0x46,
  i32_ne: 0x47,
  i32_lt_u: 0x49,
  i32_le_s: 0x4c,
  i32_gt_u: 0x4b,
  i32_ge_u: 0x4f,
  i64_eqz: 0x50,
  i64_eq: 0x51,
  i64_ne: 0x52,
  i64_lt_s: 0x53,
  i64_lt_u: 0x54,
  i64_gt_s: 0x55,
  i64_gt_u: 0x56,
  i64_le_s: 0x57,
  i64_le_u: 0x58,
  i64_ge_s: 0x59,
  i64_ge_u: 0x5a,
  f32_eq: 0x5b,
  f64_eq: 0x61,
  i32_clz: 0x67,
  i32_ctz: 0x68,
  i32_popcnt: 0x69,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_mul: 0x6c,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_xor: 0x73,
  i32_shl: 0x74,
  i32_shr_u: 0x76,
  i64_clz: 0x79,
  i64_ctz: 0x7a,
  i64_popcnt: 0x7b,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_div_s: 0x7f,
  i64_div_u: 0x80,
  i64_rem_s: 0x81,
  i64_rem_u: 0x82,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_s: 0x87,
  i64_shr_u: 0x88,
  i64_rotl: 0x89,
  i64_rotr: 0x8a,
  i32_wrap_i64: 0xa7,
  i64_trunc_f32_s: 0xae,
  i64_trunc_f64_s: 0xb0,
  f32_convert_i64_s: 0xb4,
  f64_convert_i64_s: 0xb9,
  f32_reinterpret_i32: 0xbe,
  f64_reinterpret_i64: 0xbf,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  i64_extend8_s: 0xc2,
  i64_extend16_s: 0xc3,
  i64_extend32_s: 0xc4,
} as const;
export type OpName = keyof typeof OP;

/** A growing run of bytes with the format's integers. */
export class Bytes {
  #data: Uint8Array<ArrayBuffer>;
  length = 0;

  /** `room` is what to begin with. */
  constructor(room = 64) {
    this.#data = new Uint8Array(room);
  }
  #reserve(more: number): void {
    if (this.length + more <= this.#data.length) return;
    const grown = new Uint8Array(2 * (this.length + more));
    grown.set(this.#data);
    this.#data = grown;
  }
  byte(value: number): void {
    if (this.length === this.#data.length) this.#reserve(1);
    this.#data[this.length++] = value;
  }
  bytes(values: ArrayLike<number>): void {
    this.#reserve(values.length);
    this.#data.set(values, this.length);
    this.length += values.length;
  }
  append(other: Bytes): void {
    this.bytes(other.#data.subarray(0, other.length));
  }
  /** Unsigned LEB128, below 2^32. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }
  /** Signed LEB128, 32 bits. */
  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }
  /** Signed LEB128, 64 bits. */
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    if (rest >= -0x80000000n && rest <= 0x7fffffffn) return this.s32(Number(rest));
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && !(low & 0x40)) || (rest === -1n && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }
  name(text: string): void {
    this.u32(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }
  /** `other` with its length in front, as sections and bodies are. */
  sized(other: Bytes): void {
    this.u32(other.length);
    this.append(other);
  }
  finish(): Uint8Array<ArrayBuffer> {
    return this.#data.slice(0, this.length);
  }
}

/** Number of a local variable, parameters first. */
export type Local = number & { readonly __brand: "Local" };

/** Number of a label, as a nesting depth; turned into the relative index where it is branched to. */
export type Label = number & { readonly __brand: "Label" };

/** One function body under construction. */
export class FunctionBody {
  readonly code = new Bytes(1024);
  readonly #front = new Bytes();
  readonly #types: ValueType[] = [];
  readonly #free: Record<ValueType, Local[]> = { [I32]: [], [I64]: [], [V128]: [] };
  #depth = 0;

  constructor(readonly parameters: readonly ValueType[]) {}

  /** A new local variable, zero at entry. */
  local(type: ValueType): Local {
    this.#types.push(type);
    return this.parameters.length + this.#types.length - 1 as Local;
  }
  /** A local for a short while: give it back with `release`. Its value at first is anything. */
  temporary(type: ValueType): Local {
    return this.#free[type].pop() ?? this.local(type);
  }
  release(type: ValueType, ...locals: readonly Local[]): void {
    this.#free[type].push(...locals);
  }

  op(...names: readonly OpName[]): void {
    for (const name of names) this.code.byte(OP[name]);
  }
  i32(value: number): void {
    this.op("i32_const");
    this.code.s32(value);
  }
  i64(value: bigint | number): void {
    this.op("i64_const");
    this.code.s64(BigInt(value));
  }
  get(local: Local): void {
    this.op("local_get");
    this.code.u32(local);
  }
  set(local: Local): void {
    this.op("local_set");
    this.code.u32(local);
  }
  tee(local: Local): void {
    this.op("local_tee");
    this.code.u32(local);
  }
  /** Loads and stores carry no alignment promise. */
  memory(name: OpName, offset: number): void {
    this.op(name);
    this.code.u32(0);
    this.code.u32(offset);
  }
  call(index: number): void {
    this.op("call");
    this.code.u32(index);
  }

  /** Opens a construct; the label is good for `branch` until its `end`. */
  open(name: "block" | "loop" | "if", type: BlockType = VOID): Label {
    this.op(name);
    this.code.byte(type);
    return this.#depth++ as Label;
  }
  else(): void {
    this.op("else");
  }
  end(): void {
    this.#depth--;
    this.op("end");
  }
  branch(name: "br" | "br_if", label: Label): void {
    this.op(name);
    this.code.u32(this.#depth - 1 - label);
  }
  branchTable(labels: readonly Label[], otherwise: Label): void {
    this.op("br_table");
    this.code.u32(labels.length);
    for (const label of [...labels, otherwise]) this.code.u32(this.#depth - 1 - label);
  }

  /** Puts straight-line code in front of all that was emitted. */
  prologue(emit: (front: FunctionBody) => void): void {
    const front = new FunctionBody(this.parameters);
    emit(front);
    this.#front.append(front.code);
  }

  /** The body with its declarations, as the code section holds it. */
  finish(): Bytes {
    const result = new Bytes();
    result.u32(this.#types.length);
    for (const type of this.#types) {
      result.u32(1);
      result.byte(type);
    }
    result.append(this.#front);
    result.append(this.code);
    result.byte(OP.end);
    return result;
  }
}

/** A function's type. */
export interface Signature {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** What a module imports besides functions. */
export type Storage = "memory" | "table";

/** Types and limits as the import section has them (WebAssembly 2.0, section 5.3): no bound on size. */
const STORAGE = { memory: [0x02, 0x00, 0x01], table: [0x01, 0x70, 0x00, 0x00] } as const;

/** A module that imports memory, a table and functions as it needs them, and exports functions. */
export class Module {
  readonly #types: Signature[] = [];
  readonly #imports: { name: string; type: number }[] = [];
  readonly #functions: { name: string; type: number; body: FunctionBody }[] = [];

  constructor(readonly storage: readonly Storage[]) {}

  /** Index of a function's type. Two that are written out twice are two types: the format lets them be. */
  type(signature: Signature): number {
    const known = this.#types.indexOf(signature);
    return known >= 0 ? known : this.#types.push(signature) - 1;
  }
  /** Index of the imported function; all imports come before the first function. */
  import(name: string, signature: Signature): number {
    this.#imports.push({ name, type: this.type(signature) });
    return this.#imports.length - 1;
  }
  /** Index of the function, exported under its name. */
  function(name: string, signature: Signature, body: FunctionBody): number {
    this.#functions.push({ name, type: this.type(signature), body });
    return this.#imports.length + this.#functions.length - 1;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Bytes();
    out.bytes([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    const section = (id: number, count: number, fill: (bytes: Bytes) => void) => {
      const content = new Bytes();
      content.u32(count);
      fill(content);
      out.byte(id);
      out.sized(content);
    };
    section(1, this.#types.length, (s) => {
      for (const { parameters, results } of this.#types) {
        s.byte(0x60);
        s.u32(parameters.length);
        s.bytes(parameters);
        s.u32(results.length);
        s.bytes(results);
      }
    });
    section(2, this.#imports.length + this.storage.length, (s) => {
      for (const { name, type } of this.#imports) {
        s.name("e");
        s.name(name);
        s.byte(0x00);
        s.u32(type);
      }
      for (const kind of this.storage) {
        s.name("e");
        s.name(kind);
        s.bytes(STORAGE[kind]);
      }
    });
    section(3, this.#functions.length, (s) => this.#functions.forEach((f) => s.u32(f.type)));
    section(7, this.#functions.length, (s) =>
      this.#functions.forEach((f, i) => {
        s.name(f.name);
        s.byte(0x00);
        s.u32(this.#imports.length + i);
      }));
    section(
      10,
      this.#functions.length,
      (s) => this.#functions.forEach((f) => s.sized(f.body.finish())),
    );
    return out.finish();
  }
}

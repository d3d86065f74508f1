// Every x87 instruction but those that move the environment, by code; and how one is done.
import { Code, type Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";
import { X87_OPERAND } from "../layout.ts";
import { add, type Binary, divide, multiply, squareRoot, subtract } from "./arithmetic.ts";
import { compare, examine, ORDER, orderCondition } from "./compare.ts";
import { KIND, kindOf } from "./float80.ts";
import { nanOf } from "./operands.ts";
import * as O from "./operations.ts";
import { roundToIntegral } from "./integers.ts";
import { noteDenormals } from "./operands.ts";
import { AT, initialize, setControl } from "./registers.ts";
import { remainder } from "./remainder.ts";
import { extract, scaleBy } from "./scale.ts";
import * as T from "./transcendental.ts";
import type { Unit } from "./unit.ts";

export type { Operation } from "./operations.ts";

type Row = readonly [Code, O.Operation];

const code = (name: string): Code => {
  const found: unknown = Code[name as keyof typeof Code];
  if (typeof found !== "number") throw new Error(`iced has no code ${name}`);
  return found;
};

/** Operands in memory by the names that codes have for them. */
const FLOATS = [["m32fp", "single"], ["m64fp", "double"]] as const;
const INTEGERS = [["m16int", 2], ["m32int", 4]] as const;

/** FADD, FADDP, FIADD and the like. */
function arithmetic(name: string, compute: Binary, reversed: boolean): Row[] {
  const named = (prefix: string, suffix: string) => code(`${prefix}${name}${suffix}`);
  return [
    ...FLOATS.map(([suffix, operand]): Row => [
      named("F", `_${suffix}`),
      O.arithmetic(compute, { operand, reversed }),
    ]),
    ...INTEGERS.map(([suffix, operand]): Row => [
      named("Fi", `_${suffix}`),
      O.arithmetic(compute, { operand, reversed }),
    ]),
    [named("F", "_st0_sti"), O.arithmetic(compute, { reversed })],
    [named("F", "_sti_st0"), O.arithmetic(compute, { toOther: true, reversed })],
    [named("F", "p_sti_st0"), O.arithmetic(compute, { toOther: true, reversed, pops: 1 })],
  ];
}

const ARITHMETIC: readonly Row[] = [
  ...arithmetic("add", add, false),
  ...arithmetic("mul", multiply, false),
  ...arithmetic("sub", subtract, false),
  ...arithmetic("subr", subtract, true),
  ...arithmetic("div", divide, false),
  ...arithmetic("divr", divide, true),
];

const COMPARISONS: readonly Row[] = [
  ...FLOATS.flatMap(([suffix, operand]): Row[] => [
    [code(`Fcom_${suffix}`), O.comparison(false, { operand })],
    [code(`Fcomp_${suffix}`), O.comparison(false, { operand, pops: 1 })],
  ]),
  ...INTEGERS.flatMap(([suffix, operand]): Row[] => [
    [code(`Ficom_${suffix}`), O.comparison(false, { operand })],
    [code(`Ficomp_${suffix}`), O.comparison(false, { operand, pops: 1 })],
  ]),
  ...[Code.Fcom_st0_sti, Code.Fcom_st0_sti_DCD0]
    .map((c): Row => [c, O.comparison(false, {})]),
  ...[Code.Fcomp_st0_sti, Code.Fcomp_st0_sti_DCD8, Code.Fcomp_st0_sti_DED0]
    .map((c): Row => [c, O.comparison(false, { pops: 1 })]),
  [Code.Fcompp, O.comparison(false, { pops: 2 })],
  [Code.Fucom_st0_sti, O.comparison(true, {})],
  [Code.Fucomp_st0_sti, O.comparison(true, { pops: 1 })],
  [Code.Fucompp, O.comparison(true, { pops: 2 })],
  [Code.Fcomi_st0_sti, O.flagComparison(false, {})],
  [Code.Fcomip_st0_sti, O.flagComparison(false, { pops: 1 })],
  [Code.Fucomi_st0_sti, O.flagComparison(true, {})],
  [Code.Fucomip_st0_sti, O.flagComparison(true, { pops: 1 })],
  [Code.Ftst, O.plain(test)],
  [Code.Fxam, O.plain(examine)],
];

function test(u: Unit): void {
  let order: number = ORDER.unordered;
  if (!u.lacks(0)) {
    u.read(0, u.a);
    u.b.set(0, 0, 0, 0);
    order = compare(u, u.a, u.b, false);
  }
  u.condition(orderCondition(order));
  u.stops();
}

const MOVES: readonly Row[] = [
  [Code.Fld_m32fp, O.load("single")],
  [Code.Fld_m64fp, O.load("double")],
  [Code.Fld_m80fp, O.load("extended")],
  [Code.Fild_m16int, O.load(2)],
  [Code.Fild_m32int, O.load(4)],
  [Code.Fild_m64int, O.load(8)],
  [Code.Fbld_m80bcd, O.load("decimal")],
  [Code.Fld_sti, O.loadRegister],
  [Code.Fst_m32fp, O.store("single", {})],
  [Code.Fst_m64fp, O.store("double", {})],
  [Code.Fstp_m32fp, O.store("single", { pops: 1 })],
  [Code.Fstp_m64fp, O.store("double", { pops: 1 })],
  [Code.Fstp_m80fp, O.store("extended", { pops: 1 })],
  [Code.Fist_m16int, O.store(2, {})],
  [Code.Fist_m32int, O.store(4, {})],
  [Code.Fistp_m16int, O.store(2, { pops: 1 })],
  [Code.Fistp_m32int, O.store(4, { pops: 1 })],
  [Code.Fistp_m64int, O.store(8, { pops: 1 })],
  [Code.Fisttp_m16int, O.store(2, { pops: 1 }, true)],
  [Code.Fisttp_m32int, O.store(4, { pops: 1 }, true)],
  [Code.Fisttp_m64int, O.store(8, { pops: 1 }, true)],
  [Code.Fbstp_m80bcd, O.store("decimal", { pops: 1 })],
  [Code.Fst_sti, O.copyTo({})],
  [
    Code.Fstpnce_sti,
    O.plain((u, i) => {
      // No exception: of an empty register, nothing is stored.
      if (!u.isEmpty(0)) {
        u.read(0, u.r);
        u.write(i, u.r);
      }
      u.pop();
    }),
  ],
  ...[Code.Fstp_sti, Code.Fstp_sti_DFD0, Code.Fstp_sti_DFD8]
    .map((c): Row => [c, O.copyTo({ pops: 1 })]),
  ...[Code.Fxch_st0_sti, Code.Fxch_st0_sti_DDC8, Code.Fxch_st0_sti_DFC8]
    .map((c): Row => [c, O.exchange]),
  [Code.Fld1, O.loadConstant("one")],
  [Code.Fldl2t, O.loadConstant("log2Of10")],
  [Code.Fldl2e, O.loadConstant("log2OfE")],
  [Code.Fldpi, O.loadConstant("pi")],
  [Code.Fldlg2, O.loadConstant("log10Of2")],
  [Code.Fldln2, O.loadConstant("ln2")],
  [Code.Fldz, O.loadConstant("zero")],
  ...([["b", RFLAGS.CF], ["e", RFLAGS.ZF], ["be", RFLAGS.CF | RFLAGS.ZF], [
    "u",
    RFLAGS.PF,
  ]] as const)
    .flatMap(([condition, mask]): Row[] => [
      [code(`Fcmov${condition}_st0_sti`), O.move(mask, true)],
      [code(`Fcmovn${condition}_st0_sti`), O.move(mask, false)],
    ]),
];

const FUNCTIONS: readonly Row[] = [
  [Code.Fchs, O.unary((u, a) => u.r.set(a.negative ^ 1, a.exponent, a.hi, a.lo))],
  [Code.Fabs, O.unary((u, a) => u.r.set(0, a.exponent, a.hi, a.lo))],
  [Code.Fsqrt, O.unary((u, a) => squareRoot(u, a, u.precision))],
  [
    Code.Frndint,
    O.unary((u, a) => {
      if (nanOf(u, a)) return;
      noteDenormals(u, a);
      if (kindOf(a) === KIND.zero) u.r.copy(a);
      else roundToIntegral(u, a);
    }),
  ],
  [Code.Fscale, O.ofTwo(scaleBy, false)],
  [Code.Fprem, O.ofTwo((u, b, a) => remainder(u, a, b, false), false, true)],
  [Code.Fprem1, O.ofTwo((u, b, a) => remainder(u, a, b, true), false, true)],
  [Code.Fxtract, O.pair(extract, false)],
  [Code.F2xm1, O.unary(T.power)],
  [Code.Fyl2x, O.ofTwo(T.yLogX, true)],
  [Code.Fyl2xp1, O.ofTwo(T.yLogX1, true)],
  [Code.Fpatan, O.ofTwo(T.arctangent, true)],
  [Code.Fsin, O.ofAngle(T.sin)],
  [Code.Fcos, O.ofAngle(T.cos)],
  [Code.Fsincos, O.pair(T.sinAndCos, true)],
  [Code.Fptan, O.pair(T.tanAndOne, true)],
];

const CONTROL: readonly Row[] = [
  [Code.Fincstp, O.plain((u) => u.turn(1))],
  [Code.Fdecstp, O.plain((u) => u.turn(-1))],
  [Code.Ffree_sti, O.plain((u, i) => u.free(i))],
  [
    Code.Ffreep_sti,
    O.plain((u, i) => {
      u.free(i);
      u.pop();
    }),
  ],
  [Code.Fnop, { ...O.control(() => {}, true), counts: true }],
  [
    Code.Fninit,
    O.control((u) => {
      initialize(u.view);
      u.begin();
    }),
  ],
  // Exceptions, SF, ES and B.
  [Code.Fnclex, O.control((u) => u.status &= 0x7f00)],
  ...[Code.Fneni, Code.Fndisi, Code.Fnsetpm].map((c): Row => [c, O.control(() => {})]),
  [
    Code.Fldcw_m2byte,
    {
      ...O.control((u) => {
        setControl(u.view, u.view.getUint16(X87_OPERAND, true));
        u.control = u.view.getUint16(AT.control, true);
      }, true),
      memory: "load",
      bytes: 2,
    },
  ],
  [Code.Fnstcw_m2byte, O.storeWord(AT.control)],
  [Code.Fnstsw_m2byte, O.storeWord(AT.status)],
];

/** By code: an array, because translated code looks here each time. */
const OPERATIONS: (O.Operation | undefined)[] = [];
for (const [c, operation] of [...ARITHMETIC, ...COMPARISONS, ...MOVES, ...FUNCTIONS, ...CONTROL]) {
  OPERATIONS[c] = operation;
}

/** Codes of all that is done here. */
export const X87_CODES: readonly Code[] = [
  ...ARITHMETIC,
  ...COMPARISONS,
  ...MOVES,
  ...FUNCTIONS,
  ...CONTROL,
].map(([c]) => c);

/** What an instruction does; undefined for those of the environment, and all that are not the FPU's. */
export function x87Operation(code: Code): O.Operation | undefined {
  return OPERATIONS[code];
}

/** Number of the register that an instruction names besides ST(0); 1 for those that name none and pop two. */
export function stackIndex(insn: Instruction): number {
  if (insn.mnemonic === Mnemonic.Fcompp || insn.mnemonic === Mnemonic.Fucompp) return 1;
  let index = 0;
  for (let operand = 0; operand < insn.opCount; operand++) {
    if (insn.opKind(operand) !== OpKind.Register) continue;
    const number = insn.opRegister(operand) - Register.ST0;
    if (number > 0 && number < 8) index = number;
  }
  return index;
}

/** In the place of a code: the store has been done, and what else the instruction does is to happen. */
export const SETTLE = -1;

/**
 * Does an instruction, of which the operand in memory stands at X87_OPERAND. True: what stands there now is to be stored, and
 * only then does `SETTLE` make the rest happen.
 */
export function compute(u: Unit, code: number, i: number): boolean {
  if (code === SETTLE) {
    u.end();
    return false;
  }
  const operation = OPERATIONS[code];
  if (!operation) throw new Error(`No x87 instruction of code ${code}`);
  u.begin();
  const stores = operation.work(u, i) === true;
  if (!stores) u.end();
  return stores;
}

// Which instructions are translated, and by what. Whatever is not here, or is here with operands that are not plain, is done
// by the run loop: see ../execute.
import {
  ConditionCode,
  EncodingKind,
  type Instruction,
  Mnemonic,
  OpKind,
  Register,
  RegisterExt,
} from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";
import { CC, CF, STATUS_FLAGS } from "../lazy_flags.ts";
import { FLAGS_REST, PAUSES } from "../layout.ts";
import * as A from "./arithmetic.ts";
import * as B from "./bits.ts";
import * as X from "./bmi.ts";
import * as M from "./moves.ts";
import { divide, multiply, multiplyWide } from "./multiply.ts";
import { doubleShift, rotate, rotateThroughCarry, shift } from "./shifts.ts";
import { simdEmitter } from "./simd/table.ts";
import { isDirect } from "./segments.ts";
import * as S from "./stack.ts";
import { stringInstruction } from "./strings.ts";
import type { Mode, Translation } from "./translation.ts";
import { x87Emitter } from "./x87.ts";

/** Emits one instruction. */
export type Emit = (t: Translation) => void;

const nothing: Emit = () => {};

/** CLC, STC, CMC: the carry from the one before. */
function setCarry(emit: (t: Translation) => void): Emit {
  return (t) => {
    t.flagBits();
    emit(t);
    t.setFlagBits();
  };
}

function setDirection(down: boolean): Emit {
  return ({ f }) => {
    f.i32(0);
    f.i32(0);
    f.memory("i64_load", FLAGS_REST);
    f.i64(down ? RFLAGS.DF : ~RFLAGS.DF);
    f.op(down ? "i64_or" : "i64_and");
    f.memory("i64_store", FLAGS_REST);
  };
}

/** LAHF, SAHF: SF, ZF, AF, PF and CF in AH; bit 1 reads as one. */
const AH_FLAGS = 0xd5n;
const lahf: Emit = (t) => {
  t.flagBits();
  t.f.i64(AH_FLAGS);
  t.f.op("i64_and");
  t.f.i64(RFLAGS.FIXED);
  t.f.op("i64_or");
  t.setRegister(Register.AH);
};
const sahf: Emit = (t) => {
  t.flagBits();
  t.f.i64(STATUS_FLAGS & ~AH_FLAGS);
  t.f.op("i64_and");
  t.getRegister(Register.AH);
  t.f.i64(AH_FLAGS);
  t.f.op("i64_and", "i64_or");
  t.setFlagBits();
};

const TABLE = new Map<Mnemonic, Emit>([
  [Mnemonic.Mov, M.mov],
  [Mnemonic.Movnti, M.mov],
  [Mnemonic.Movzx, M.extend(false)],
  [Mnemonic.Movsx, M.extend(true)],
  [Mnemonic.Movsxd, M.extend(true)],
  [Mnemonic.Lea, M.lea],
  [Mnemonic.Xchg, M.xchg],
  [Mnemonic.Bswap, M.bswap],
  [Mnemonic.Cbw, M.widen(1, Register.AX)],
  [Mnemonic.Cwde, M.widen(2, Register.EAX)],
  [Mnemonic.Cdqe, M.widen(4, Register.RAX)],
  [Mnemonic.Cwd, M.signInto(2, Register.DX)],
  [Mnemonic.Cdq, M.signInto(4, Register.EDX)],
  [Mnemonic.Cqo, M.signInto(8, Register.RDX)],
  [Mnemonic.Xlatb, M.xlat],

  [Mnemonic.Add, A.binary("i64_add", CC.ADD)],
  [Mnemonic.Sub, A.binary("i64_sub", CC.SUB)],
  [Mnemonic.And, A.binary("i64_and", CC.LOGIC)],
  [Mnemonic.Or, A.binary("i64_or", CC.LOGIC)],
  [Mnemonic.Xor, A.binary("i64_xor", CC.LOGIC)],
  [Mnemonic.Adc, A.withCarry("i64_add", CC.ADC)],
  [Mnemonic.Sbb, A.withCarry("i64_sub", CC.SBB)],
  [Mnemonic.Cmp, A.compare("i64_sub", CC.SUB)],
  [Mnemonic.Test, A.compare("i64_and", CC.LOGIC)],
  [Mnemonic.Inc, A.step("i64_add", CC.INC)],
  [Mnemonic.Dec, A.step("i64_sub", CC.DEC)],
  [Mnemonic.Neg, A.neg],
  [Mnemonic.Not, A.not],
  [Mnemonic.Xadd, A.xadd],
  [Mnemonic.Cmpxchg, A.cmpxchg],

  [Mnemonic.Shl, shift("i64_shl", CC.SHL)],
  [Mnemonic.Sal, shift("i64_shl", CC.SHL)],
  [Mnemonic.Shr, shift("i64_shr_u", CC.SHR)],
  [Mnemonic.Sar, shift("i64_shr_s", CC.SAR)],
  [Mnemonic.Rol, rotate(true)],
  [Mnemonic.Ror, rotate(false)],
  [Mnemonic.Rcl, rotateThroughCarry(true)],
  [Mnemonic.Rcr, rotateThroughCarry(false)],
  [Mnemonic.Shld, doubleShift(true)],
  [Mnemonic.Shrd, doubleShift(false)],

  [Mnemonic.Mul, multiplyWide(false)],
  [Mnemonic.Imul, (t) => t.site.insn.opCount === 1 ? multiplyWide(true)(t) : multiply(t)],
  [Mnemonic.Div, divide(false)],
  [Mnemonic.Idiv, divide(true)],

  [Mnemonic.Bt, B.bitTest("none")],
  [Mnemonic.Bts, B.bitTest("set")],
  [Mnemonic.Btr, B.bitTest("reset")],
  [Mnemonic.Btc, B.bitTest("complement")],
  [Mnemonic.Bsf, B.bitScan(false)],
  [Mnemonic.Bsr, B.bitScan(true)],
  [Mnemonic.Tzcnt, B.zeroCount(false)],
  [Mnemonic.Lzcnt, B.zeroCount(true)],
  [Mnemonic.Popcnt, B.popcnt],

  [Mnemonic.Andn, X.andn],
  [Mnemonic.Blsi, X.lowestBit("isolate")],
  [Mnemonic.Blsmsk, X.lowestBit("mask")],
  [Mnemonic.Blsr, X.lowestBit("reset")],
  [Mnemonic.Bextr, X.extractField],
  [Mnemonic.Bzhi, X.zeroHigh],
  [Mnemonic.Mulx, X.multiplyNoFlags],
  [Mnemonic.Pdep, X.gather(true)],
  [Mnemonic.Pext, X.gather(false)],
  [Mnemonic.Sarx, X.shiftNoFlags("i64_shr_s")],
  [Mnemonic.Shlx, X.shiftNoFlags("i64_shl")],
  [Mnemonic.Shrx, X.shiftNoFlags("i64_shr_u")],
  [Mnemonic.Rorx, X.rotateNoFlags],
  [Mnemonic.Adcx, A.addWithCarry],
  [Mnemonic.Adox, A.addWithOverflow],
  [Mnemonic.Movbe, M.moveSwapped],

  [Mnemonic.Push, S.push],
  [Mnemonic.Pop, S.pop],
  [Mnemonic.Pusha, S.pushAll],
  [Mnemonic.Pushad, S.pushAll],
  [Mnemonic.Popa, S.popAll],
  [Mnemonic.Popad, S.popAll],
  [Mnemonic.Leave, S.leave],
  [Mnemonic.Call, (t) => isDirect(t.site.insn) ? S.pushReturn(t) : S.indirect(true)(t)],
  [Mnemonic.Jmp, (t) => isDirect(t.site.insn) ? undefined : S.indirect(false)(t)],
  [Mnemonic.Ret, S.ret],

  ...["b", "w", "d", "q"].flatMap((suffix): [Mnemonic, Emit][] => {
    const named = (name: string) => Mnemonic[(name + suffix) as keyof typeof Mnemonic];
    return [
      [
        named("Movs"),
        stringInstruction({ source: "memory", destination: "memory", compares: false }),
      ],
      [
        named("Cmps"),
        stringInstruction({ source: "memory", destination: "memory", compares: true }),
      ],
      [
        named("Stos"),
        stringInstruction({ source: "accumulator", destination: "memory", compares: false }),
      ],
      [
        named("Scas"),
        stringInstruction({ source: "accumulator", destination: "memory", compares: true }),
      ],
      [
        named("Lods"),
        stringInstruction({ source: "memory", destination: "accumulator", compares: false }),
      ],
    ];
  }),

  [Mnemonic.Clc, setCarry(({ f }) => (f.i64(~CF), f.op("i64_and")))],
  [Mnemonic.Stc, setCarry(({ f }) => (f.i64(CF), f.op("i64_or")))],
  [Mnemonic.Cmc, setCarry(({ f }) => (f.i64(CF), f.op("i64_xor")))],
  [Mnemonic.Cld, setDirection(false)],
  [Mnemonic.Std, setDirection(true)],
  [Mnemonic.Lahf, lahf],
  [Mnemonic.Sahf, sahf],

  [Mnemonic.Nop, nothing],
  [Mnemonic.Reservednop, nothing],
  [Mnemonic.Endbr64, nothing],
  [Mnemonic.Endbr32, nothing],
  [Mnemonic.Prefetchnta, nothing],
  [Mnemonic.Prefetcht0, nothing],
  [Mnemonic.Prefetcht1, nothing],
  [Mnemonic.Prefetcht2, nothing],
  [Mnemonic.Prefetchw, nothing],
  [Mnemonic.Prefetch, nothing],
  [Mnemonic.Prefetchwt1, nothing],
  // Where they are not announced, these are reserved NOPs (SDM vol. 2, table A-3, notes).
  [Mnemonic.Prefetchit0, nothing],
  [Mnemonic.Prefetchit1, nothing],
  [Mnemonic.Cldemote, nothing],
  [Mnemonic.Rdsspd, nothing],
  [Mnemonic.Rdsspq, nothing],
  [Mnemonic.Lfence, nothing],
  [Mnemonic.Mfence, nothing],
  [Mnemonic.Sfence, nothing],

  // The condition is the block's business (see translate.ts); what counts RCX down is done there too.
  [Mnemonic.Loop, nothing],
  [Mnemonic.Loope, nothing],
  [Mnemonic.Loopne, nothing],
  [Mnemonic.Jcxz, nothing],
  [Mnemonic.Jecxz, nothing],
  [Mnemonic.Jrcxz, nothing],
]);

/** Are all register operands general-purpose ones? Moves to segment, control and debug registers are not ours. */
function isPlain(insn: Instruction): boolean {
  for (let operand = 0; operand < insn.opCount; operand++) {
    if (insn.opKind(operand) === OpKind.Register && !RegisterExt.isGPR(insn.opRegister(operand))) {
      return false;
    }
  }
  return true;
}

/** The emitter of an instruction, or undefined when the run loop has to do it. */
export function emitterOf(insn: Instruction): Emit | undefined {
  const other = simdEmitter(insn) ?? x87Emitter(insn);
  if (other) return other;
  if (insn.conditionCode !== ConditionCode.None) return conditional(insn);
  const emit = TABLE.get(insn.mnemonic);
  // AMD's TBM has another BEXTR, with an XOP prefix.
  if (!emit || !isPlain(insn) || insn.encoding === EncodingKind.XOP) return undefined;
  const transfers = insn.mnemonic === Mnemonic.Jmp || insn.mnemonic === Mnemonic.Call;
  if (transfers && !isDirect(insn) && !insn.isJmpNearIndirect && !insn.isCallNearIndirect) {
    return undefined;
  }
  return emit;
}

/** The same within a region, where the mode decides about PAUSE too. */
export function emitterIn({ pauses }: Mode, insn: Instruction): Emit | undefined {
  if (insn.mnemonic !== Mnemonic.Pause) return emitterOf(insn);
  if (pauses === "slow") return undefined;
  return pauses === "counted" ? (t) => t.count(PAUSES) : nothing;
}

function conditional(insn: Instruction): Emit | undefined {
  const code = insn.conditionCode;
  if (insn.isJccShortOrNear || TABLE.has(insn.mnemonic)) return nothing;
  if (insn.opCount === 1) return (t) => M.setcc(t, code);
  return insn.opCount === 2 ? (t) => M.cmov(t, code) : undefined;
}

/** Can this instruction stand in a region? */
export function isTranslated(insn: Instruction): boolean {
  return emitterOf(insn) !== undefined;
}

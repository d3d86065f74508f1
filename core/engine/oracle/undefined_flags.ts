// Flags that the manual leaves undefined after an instruction, and in which processors differ: both oracles look away from
// them. SDM vol. 1, appendix A ("EFLAGS cross-reference"), and the pages of the instructions in vol. 2.
import { type Instruction, Mnemonic, OpKind, RegisterExt } from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";

const { CF, PF, AF, ZF, SF, OF } = RFLAGS;

/** Of instructions where neither operands nor count matter. */
const ALWAYS = new Map<Mnemonic, number>([
  [Mnemonic.Mul, SF | ZF | AF | PF],
  [Mnemonic.Imul, SF | ZF | AF | PF],
  [Mnemonic.Div, CF | PF | AF | ZF | SF | OF],
  [Mnemonic.Idiv, CF | PF | AF | ZF | SF | OF],
  [Mnemonic.Bt, OF | SF | AF | PF],
  [Mnemonic.Bts, OF | SF | AF | PF],
  [Mnemonic.Btr, OF | SF | AF | PF],
  [Mnemonic.Btc, OF | SF | AF | PF],
  [Mnemonic.Bsf, CF | OF | SF | AF | PF],
  [Mnemonic.Bsr, CF | OF | SF | AF | PF],
  [Mnemonic.Tzcnt, OF | SF | AF | PF],
  [Mnemonic.Lzcnt, OF | SF | AF | PF],
  [Mnemonic.Andn, AF | PF],
  [Mnemonic.Bextr, AF | SF | PF],
  [Mnemonic.Blsi, AF | PF],
  [Mnemonic.Blsmsk, AF | PF],
  [Mnemonic.Blsr, AF | PF],
  [Mnemonic.Bzhi, AF | PF],
  [Mnemonic.And, AF],
  [Mnemonic.Or, AF],
  [Mnemonic.Xor, AF],
  [Mnemonic.Test, AF],
  [Mnemonic.Daa, OF],
  [Mnemonic.Das, OF],
  [Mnemonic.Aaa, OF | SF | ZF | PF],
  [Mnemonic.Aas, OF | SF | ZF | PF],
  [Mnemonic.Aam, OF | AF | CF],
  [Mnemonic.Aad, OF | AF | CF],
]);

const SHIFTS = new Set([
  ...[Mnemonic.Shl, Mnemonic.Sal, Mnemonic.Shr, Mnemonic.Sar, Mnemonic.Shld, Mnemonic.Shrd],
]);
const ROTATES = new Set([Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Rcl, Mnemonic.Rcr]);

/** A mask of RFLAGS. A count that is zero leaves all flags alone, which is not looked into. */
export function undefinedFlags(insn: Instruction): bigint {
  const { mnemonic } = insn;
  const always = ALWAYS.get(mnemonic);
  if (always !== undefined) return BigInt(always);
  // OF is defined for counts of one alone.
  const double = mnemonic === Mnemonic.Shld || mnemonic === Mnemonic.Shrd;
  const countOperand = double ? 2 : 1;
  const one = insn.opKind(countOperand) === OpKind.Immediate8 &&
    insn.immediate(countOperand) === 1n;
  if (ROTATES.has(mnemonic)) return BigInt(one ? 0 : OF);
  if (!SHIFTS.has(mnemonic)) return 0n;
  // CF, where the count may reach the operand's size.
  const narrow = insn.op0Kind === OpKind.Memory || RegisterExt.size(insn.op0Register) < 4;
  return BigInt(AF | (one ? 0 : OF | (narrow ? CF : 0)));
}

// Whole programs for the test against NASM: what only shows between lines (labels, relaxation, macros, sections).
import type { Bits } from "./corpus.ts";

export interface OracleProgram {
  readonly name: string;
  readonly bits: Bits;
  readonly text: string;
  readonly includes?: Readonly<Record<string, string>>;
}

export const ORACLE_PROGRAMS: readonly OracleProgram[] = [
  {
    name: "boot sector",
    bits: 16,
    text: `
        org 0x7c00
start:  cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, start
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword code:protected
bits 32
protected:
        mov ax, data
        mov ds, ax
        mov esi, text
.next:  lodsb
        test al, al
        jz .done
        out 0xe9, al
        jmp .next
.done:  hlt
        jmp .done
text:   db "hello", 10, 0
        align 8
gdt:    dq 0
code equ $ - gdt
        dq 0x00cf9a000000ffff
data equ $ - gdt
        dq 0x00cf92000000ffff
gdt_pointer:
        dw $ - gdt - 1
        dd gdt
        times 510 - ($ - $$) db 0
        dw 0xaa55
`,
  },
  {
    name: "labels, local and not",
    bits: 64,
    text: `
first
.a:     jmp .b
.b:     jmp .a
        jmp second.a
second: nop
.a:     jmp first.b
        jz first
third:  jmp $
$eax:   mov ebx, $eax
.a      dd .a - first, second.a, $ - .a
`,
  },
  {
    name: "branches around the short range",
    bits: 64,
    text: `
a:      times 126 nop
        jmp a
b:      times 127 nop
        jz b
        jmp c
        times 127 nop
c:      jnz d
        times 128 nop
d:      jmp e
        jmp e
        times 125 nop
e:      loop f
        call g
f:      times 50 jmp g
g:      jmp near f
        jz near f
        times 30 jz h
        nop
h:      jmp short h
`,
  },
  {
    name: "branches that push each other out",
    bits: 32,
    text: `
a:      jmp z
        jmp y
        times 60 nop
        jmp a
        jz z
        times 55 nop
y:      jmp a
        jz a
        times 120 nop
        jz y
z:      jmp x
        times 124 nop
        jmp z
x:      ret
`,
  },
  {
    name: "immediates by value and by address",
    bits: 64,
    text: `
        default rel
scale   equ 4
start:  add eax, late
        add eax, end - start
        sub rsp, frame
        mov rcx, late
        mov rdx, end
        push late
        push end
        mov al, [rbx + late]
        mov al, [rbx + end]
        mov al, [rbx + end - start]
        mov al, [end]
        mov [abs end], al
        mov eax, [fs:8]
        mov eax, [rel fs:8]
        mov rsi, [end + 8]
        lea rdi, [rsi + rax * scale]
        cmp byte [end], late
late    equ 5
frame   equ 0x88
end:
`,
  },
  {
    name: "data of all widths",
    bits: 32,
    text: `
        db 1, -1, 255, 'a', 'abc', "it's", \`tab\\t\\x41\\101\\n\`, \`\\u263a\`
        db "é", 'x' + 1
        dw 1, -1, 'ab', 'abc', start, 0xffff
        dd 1, 'abcd', 'abcde', start, $ - start, 1.0, -2.5, 3.14159
        dq 1, 'abcdefgh', 'abcdefghi', start, 1.0, -0.1, 1e300
start:  resb 3
        resw 1
        dd start
        times 4 dw $ - start
        times 3 db 'ab', 0
        align 16, db 0xcc
        align 4
        alignb 8
        db 1
        align 32
        db 0x10, 10h, $10, 0b11, 11b, 0y1, 17q, 0o17, 10d, 0d10, 1_000 & 0xff, 0ah
        resd 2
`,
  },
  {
    name: "expressions",
    bits: 64,
    text: `
a equ 10
b equ a * 3 - 4 / 2
start:
        dq a + b, a - b, a * b, b / a, b % a, -b // a, -b %% a
        dq 1 << 4, 256 >> 4, -256 >> 4, -256 >>> 4, 1 << 63, ~a, !a, !0, -a, +a
        dq a & 6, a | 5, a ^ 3, a && 0, a || 0, a ^^ b, a = 10, a == 11, a <> 3, a != 10
        dq a < b, a <= b, a > b, a >= b, b <=> a, a <=> a, a ? b : 7, 0 ? 1 : 2
        dq 2 + 3 * 4, (2 + 3) * 4, 2 * 3 + 4 * 5, 1 | 2 ^ 3 & 4, 1 << 2 + 3, 10 - 4 - 3
        dq $ - start, $$ - start, end - start, (end - start) * 2, (end - start) / 8
        dq 'a', 'ab' + 1, 0xffffffffffffffff, 0x7fffffffffffffff + 1, -1 / 2
end:
`,
  },
  {
    name: "single-line macros",
    bits: 64,
    text: `
%define PORT 0x3f8
%define twice(x) ((x) * 2)
%define add3(a, b, c) (a + b + c)
%define nested(x) twice(twice(x))
self equ 3
%define self self + 1
%define empty
%xdefine FROZEN PORT
%define PORT 0x2f8
%assign counter 5
%assign counter counter * 2 + 1
%idefine MixedCase 7
%define paste(a, b) a %+ b
%define REG rax
%define overloaded(x) x
%define overloaded(x, y) x * y
        dw PORT, FROZEN, twice(4), add3(1, 2, 3), nested(5), counter, MIXEDCASE, mixedcase
        db empty self
        mov REG, paste(r, bx)
        mov paste(e, ax), overloaded(3)
        mov ecx, overloaded(3, 4)
%undef PORT
PORT equ 9
        db PORT
%strlen length 'hello'
%strcat both 'ab', "cd"
%substr part 'abcdef' 2, 3
%substr letter 'abcdef' 5
%defstr text hello world
        db length, both, part, letter, text
%define cat(x) x %+ _tail
cat(head):
        dq head_tail
        dw %[counter]
`,
  },
  {
    name: "multi-line macros",
    bits: 64,
    text: `
%macro save 1-*
  %rep %0
        push %1
    %rotate 1
  %endrep
%endmacro
%macro restore 1-*
  %rep %0
    %rotate -1
        pop %1
  %endrep
%endmacro
%macro loop_times 2
        mov ecx, %1
%%again:
        %2
        dec ecx
        jnz %%again
%endmacro
%macro define_field 3
%1_%2: dw %3
%1.%2.x equ %3 + 1
%endmacro
%macro with_default 1-3 rbx, 5
        mov %1, %2
        add %1, %3
%endmacro
%macro text 1+
        db %1, 0
%endmacro
%macro unless 2
        j%-1 %%skip
        %2
%%skip:
%endmacro
%macro when 2
        j%+1 %2
%endmacro
%macro none 0
        nop
%endmacro
%macro pick 1
        db 1
%endmacro
%macro pick 2
        db 2
%endmacro
%imacro AnyCase 0
        hlt
%endmacro
%macro outer 1
        %macro inner_%1 1
        db %1, %1
        %endmacro
%endmacro
%macro dest 2
%{1}_end: mov %{2}x, 5
        db %{1:1}
%endmacro
start:  save rax, rbx, rcx
        restore rax, rbx, rcx
        loop_times 5, {add eax, ebx}
        loop_times 6, {mov eax, [rbx]}
        define_field foo, bar, 7
        dw foo_bar, foo.bar.x
        with_default rax
        with_default rax, rcx
        with_default rax, rcx, 9
        text "a, b", 1, 2
        unless z, {inc eax}
        unless nc, nop
        when nbe, start
        none
label:  none
label2  none
        pick 1
        pick 1, 2
        anycase
        outer zwei
`,
  },
  {
    name: "conditions and repetition",
    bits: 32,
    text: `
%define DEBUG
%assign level 3
known equ 4
%ifdef DEBUG
        db 1
%else
        db 2
%endif
%ifndef DEBUG
        db 3
  %if 1
        db 33
  %endif
%elif level > 2
        db 4
%elif level > 1
        db 5
%else
        db 6
%endif
%if level = 3 && known == 4
        db 7
%endif
%if level == 4
        db 8
%elifdef DEBUG
        db 9
%endif
%assign i 0
%rep 5
        db i
  %assign i i + 1
  %if i == 4
    %exitrep
  %endif
%endrep
%rep 2
  %rep 3
        db 0xee
  %endrep
        db 0xdd
%endrep
%macro kind 1
  %ifnum %1
        db 'n'
  %elifid %1
        db 'i'
  %elifstr %1
        db 's'
  %else
        db '?'
  %endif
  %ifidn %1, eax
        db 'a'
  %elifidni %1, EBX
        db 'b'
  %endif
  %ifempty %1
        db 'e'
  %endif
%endmacro
        kind 5
        kind eax
        kind ebx
        kind 'x'
        kind [eax]
%ifmacro kind
        db 0xaa
%endif
%ifnmacro nothing
        db 0xbb
%endif
%macro leave_early 1
        db 1
  %if %1
    %exitmacro
  %endif
        db 2
%endmacro
        leave_early 0
        leave_early 1
%rep 0
        db 0x99
%endrep
`,
  },
  {
    name: "includes",
    bits: 64,
    includes: {
      "one.inc": "%ifndef ONE\n%define ONE\n%define VALUE 5\nfrom_one: db VALUE\n%endif\n",
      "two.inc": '%include "one.inc"\n  dq from_one\n',
    },
    text: `
        %include "one.inc"
        %include "two.inc"
        db VALUE
        jmp from_one
`,
  },
  {
    name: "sections",
    bits: 64,
    text: `
section .data
value:  dq 5, buffer, start
section .text
start:  mov rax, [rel value]
        mov [rel buffer], rax
        jmp start
section .bss
buffer: resq 2
other:  resb 5
section .data
        align 16
more:   db 1, 2, 3
        dq more, other
section .text
        lea rdi, [rel other]
        jmp more
`,
  },
  {
    name: "modes in one program",
    bits: 16,
    text: `
        mov ax, 5
        bits 32
        mov ax, 5
        mov eax, [ebx]
        [bits 64]
        mov ax, 5
        mov rax, [rbx]
        use16
        mov eax, [ebx]
        a32 movsb
        o32 push 5
        o32 ret
        jmp dword 0x08:$
        jmp dword far_away
far_away:
        call dword far_away
`,
  },
  {
    name: "times and what depends on the place",
    bits: 32,
    text: `
start:  times 8 jmp $
        times 4 dd $ - start
        times 16 - ($ - start) % 16 nop
        times 3 mov eax, $
        times 0 hlt
end:
`,
  },
  {
    name: "continuation lines and odd spelling",
    bits: 64,
    text: `
START:  MOV RAX, \\
        RBX
        Mov  ecx , DWORD [ RBX + 4 ]   ; a comment
label   :  nop
times   2   nop
        mov al,';'
        mov eax,[rbx+rcx*4+8-4]
        db 'a' , "b"  ,  \`c\`
        LOCK INC  DWORD[RAX]
`,
  },
];

// Lines written by hand for the test against NASM: the spellings and corner cases that the table of forms does not bring up.

/** For 64-bit code. */
export const LINES_64: readonly string[] = String.raw`
fadd st1
fadd st0, st1
fadd st1, st0
fadd to st1
faddp
faddp st1
faddp st1, st0
fxch
fxch st3
fcom
fcom st2
fcomp st2
fucom
fucomp
fsub st4
fsubr to st4
fsubp
fsubrp st2
fdivp
fmulp
fcmovb st1
fcmovb st0, st1
fcomi st1
fcomip st1
fucomi st3
fucomip st3
fld st1
fstp st2
ffree st1
fincstp
fld dword [rax]
fild qword [rax]
fist word [rax]
fstsw ax
fnstsw ax
fstsw [rax]
fstcw [rax]
fldcw [rax]
finit
fclex
fsave [rax]
fisttp qword [rax]
fld tword [rax]
fbld [rax]
fbstp tword [rax]
cmpeqps xmm1, xmm2
cmpltsd xmm1, [rax]
cmpunordpd xmm1, xmm2
cmpneqss xmm1, xmm2
cmpnltps xmm1, xmm2
blendvps xmm1, xmm2, xmm0
pblendvb xmm1, xmm2
sha256rnds2 xmm1, xmm2, xmm0
movq xmm0, rax
movq rax, xmm0
movq xmm0, [rax]
movd xmm0, eax
movd eax, xmm1
movd [rax], xmm1
movq [rax], xmm1
movd mm1, [rax]
cvtsi2sd xmm0, eax
cvtsi2sd xmm0, rax
cvtsi2sd xmm0, [rax]
cvtsi2ss xmm0, dword [rax]
cvttsd2si eax, xmm0
cvttsd2si rax, [rax]
movdqa xmm0, xmm1
movaps xmm1, xmm9
movups [rax], xmm1
movsd xmm0, xmm1
movsd xmm0, [rax]
movsd
cmpsd
movss [rsi], xmm3
movsx eax, byte [rax]
movsx rax, word [rax]
movsxd rax, dword [rax]
movsxd rax, ecx
movsx rax, eax
movzx eax, al
movzx eax, word [rax]
movzx ax, [rax]
movzx rax, bl
imul eax, 5
imul eax, ebx
imul eax, ebx, 5
imul eax, ebx, 500
imul rax, [rbx], 500
imul rax, 500
imul cx, 5
imul cx, 500
push 5
push 500
push word 5
push strict dword 5
push qword 5
push byte 5
push -129
push rax
push r15
push fs
pop gs
push ax
push word [rax]
push qword [rax]
pop qword [rax]
pop r9
in al, 0x60
in eax, dx
in ax, 0x10
out 0x60, al
out dx, eax
out 0x61, ax
ret
ret 8
retn
retf 4
o16 ret
int 0x80
int3
int 3
icebp
int1
int01
int03
iretw
iretd
iretq
syscall
sysret
sysenter
sysexit
o64 sysexit
swapgs
rdtsc
rdtscp
rdmsr
wrmsr
cpuid
hlt
pause
ud2
ud0 eax, ebx
ud1 eax, ebx
nop
nop dword [rax]
nop word [rax+rax]
o16 nop
lock inc dword [rax]
lock xadd [rax], ecx
lock cmpxchg8b [rax]
lock cmpxchg16b [rax]
lock bts qword [rax], 3
lock xchg [rax], eax
rep stosb
rep stosq
repne scasb
repe cmpsw
rep movsq
rep a32 movsd
a32 rep movsd
rep insb
rep outsd
fs lodsb
gs stosb
fs mov eax, [rbx]
mov eax, [fs:rbx]
mov rax, [gs:0]
mov rax, [gs:rax+8]
mov rax, [abs 8]
mov rax, [rel start]
mov rax, [rel start+8]
mov [rel start], al
mov byte [rel start], 5
mov qword [rel start], 5
mov dword [rel start], 500000
mov word [rel start], 500
cmp byte [rel start], 5
cmp qword [rel start], 500
mov al, [qword 0x123456789]
mov [qword 0x123456789], rax
mov rax, [qword start]
mov rcx, [0x12345678]
mov rcx, [0x7fffffff]
mov rcx, [-8]
mov eax, dword 5
mov rax, dword 5
mov rax, qword 5
mov rax, strict dword 5
mov rax, strict qword 5
mov rax, byte 5
mov rax, -5
mov rax, 0xffffffff
mov rax, 0x100000000
mov rax, -0x80000000
mov rax, -0x80000001
mov rax, 0xffffffff80000000
mov rax, end-start
mov rax, start
mov eax, start
mov ax, start
mov al, 'a'
mov eax, 'abcd'
mov rax, 'abcdefgh'
mov rax, "a"
mov r8d, 5
mov r8, 5
mov ah, 5
mov spl, 5
mov cr0, rax
mov rax, cr3
mov cr8, rax
mov dr7, rax
mov rax, dr6
mov ss, ax
mov es, eax
mov [rax], ss
mov word [rax], ds
lea rax, [rel start]
lea rax, [rax+rbx*4+5]
lea rax, [rax*5]
lea rax, [rbx*2]
lea rax, [r13]
lea rax, [r12]
lea rax, [r13+rbx]
lea rax, [r12*4]
lea rax, [r12+r13*8+0x12345678]
lea rax, [rax+128]
lea rax, [rax-128]
lea rax, [byte rax]
lea rax, [byte rax+5]
lea rax, [dword rax+5]
lea rax, [dword rbx]
lea rax, [rax+0xffffffffffffffff]
lea eax, [eax+0xffffffff]
add rax, 0xffffffffffffff80
add eax, 0xffffff80
add ax, 0xff80
add rax, 0x7f
add rax, 0x80
add al, 0x80
add byte [rax], 5
add dword [rax], 5
add dword [rax], byte 5
add [rax], byte 5
mov [rax], dword 5
mov [rax], word 5
add eax, byte 5
add eax, dword 5
add eax, strict dword 5
add eax, strict byte 5
add rcx, strict dword 5
sub rsp, 8
sub rsp, byte 8
and rsp, -16
and eax, 0xfffffff0
or byte [rax], 0x80
xor r8d, r8d
test al, 1
test eax, 1
test rax, 1
test byte [rax], 1
test rax, rbx
test [rax], rbx
test rbx, [rax]
xchg [rax], rbx
xchg rbx, [rax]
xchg al, bl
xchg r8, rax
xchg rax, r8
xchg ax, ax
xchg r8d, eax
shl eax, 1
shl eax, 2
shl eax, cl
sal rax, 5
sar byte [rax], 1
shr qword [rax], cl
rol al, 7
shld eax, ebx, 5
shld eax, ebx, cl
shrd [rax], rbx, cl
bt eax, 5
bts [rax], ebx
btr dword [rax], 5
bsf rax, rbx
bswap eax
bswap r9
not eax
neg qword [rax]
mul rbx
div dword [rax]
idiv r8
inc eax
dec byte [rax]
inc r9w
setz al
setnz [rax]
setc byte [rax]
cmovz eax, ebx
cmovnbe rax, [rax]
cbw
cwde
cdqe
cwd
cdq
cqo
enter 16, 0
leave
xlatb
xlat
lahf
sahf
cmc
clc
stc
cli
sti
cld
std
lgdt [rax]
lidt [rel start]
sgdt [rax]
lldt ax
ltr ax
ltr [rax]
str eax
str rax
str [rax]
sldt ax
sldt [rax]
smsw ax
smsw eax
smsw rax
smsw [rax]
lmsw ax
invlpg [rax]
invd
wbinvd
clts
lar eax, ebx
lar rax, rbx
lar eax, bx
lar eax, [rax]
lsl eax, [rax]
lsl rax, ebx
verr ax
verw [rax]
lss eax, [rax]
lfs rax, [rax]
lgs rcx, [rax]
vmcall
vmlaunch
vmread rax, rbx
vmwrite rax, [rbx]
vmptrld [rax]
vmxon [rax]
vmrun
vmrun rax
vmmcall
vmload
invept rax, [rbx]
monitor
mwait
xgetbv
xsetbv
fxsave [rax]
fxrstor64 [rax]
xsave [rax]
ldmxcsr [rax]
stmxcsr dword [rax]
clflush [rax]
prefetcht0 [rax]
prefetchnta byte [rax]
lfence
mfence
sfence
rdrand eax
rdseed rax
rdpid rax
rdfsbase rax
wrgsbase eax
crc32 eax, bl
crc32 eax, ebx
crc32 rax, byte [rbx]
popcnt eax, ebx
lzcnt rax, [rax]
andn eax, ebx, ecx
bextr eax, ebx, ecx
mulx eax, ebx, ecx
rorx eax, ebx, 5
sarx eax, ebx, ecx
pext eax, ebx, ecx
adcx eax, ebx
movbe eax, [rax]
movbe [rax], cx
cmpxchg [rax], rbx
xadd al, bl
jmp rax
jmp [rax]
jmp qword [rax]
call rax
call [rel start]
call far [rax]
jmp far [rax]
jmp far dword [rax]
jmp far qword [rax]
jmp far word [rel start]
jmp near [rax]
call near rax
jmp start
jmp near start
jmp short $
jmp $
jmp end
jmp near end
jz end
jz near end
jz start
jz $+2
call start
call end
jmp 0x1234
jz 0x1234
call 0x1234
loop $
loopne $
loopz $
jrcxz $
jecxz $
loop $, ecx
loop $, rcx
a32 loop $
es nop
ds jz $
cs mov eax, [rax]
lock
rep
rep ret
repz ret
o64 push rax
db 5, "x", "\x00\t", 0xff, -1
dw 5, 'a', 'ab', 'abc', start
dd 1e10, 3.0e-3
db '', 5
times 3 db 1, 2
times 2 nop
db ?
resb 3
resw 1
endbr64
clac
stac
clwb [rax]
serialize
wbnoinvd
mov rax, [nosplit rax*2]
mov rax, [rax*2+rbx]
mov rax, [rbx+rax*1]
mov rax, [eax]
mov rax, [r8d+ebx*2]
mov r10, [rel $]
mov eax, $
mov eax, $-start
mov eax, 5 + 3 * 2
mov eax, (5 + 3) * 2
mov eax, 1 << 20
mov eax, -1 >> 40
mov eax, ~5
mov eax, !5
mov eax, 17 / 3
mov eax, -17 // 3
mov eax, 17 % 3
mov eax, -17 %% 3
mov eax, 5 | 8 ^ 3 & 1
mov eax, 5 == 5
mov eax, 5 < 3 || 2
mov eax, 5 ? 6 : 7
mov eax, 0b1010_1010
mov eax, 1010b
mov eax, 0ffh
mov eax, $ff
mov eax, 0o17
mov eax, 17q
mov eax, 0x1_0
mov eax, 10d
mov eax, 'a' + 1
`.trim().split("\n");

/** For 32-bit and for 16-bit code. */
export const LINES_32_16: readonly string[] = String.raw`
mov eax, [ebx]
mov eax, [bx]
mov eax, [word 0x1234]
mov eax, [dword 0x1234]
mov al, [0x1234]
mov [0x1234], ax
mov [0x1234], cx
mov [start], eax
mov al, [word 0x1234]
mov al, [fs:0x10]
a16 mov al, [0x1234]
push ds
pop ds
push es
pop ss
push fs
o16 push fs
push 0x12345678
push word 0x1234
push word 5
push dword 5
push ax
pusha
pushad
pushaw
popa
popaw
pushf
pushfw
pushfd
popf
popfw
iret
iretw
iretd
ret
retf
retf 8
o16 retf
inc eax
inc ax
dec cx
inc dword [eax]
xchg eax, eax
xchg eax, ebx
lea eax, [bx+si]
lea ax, [ebx]
lea eax, [eax*2]
lea eax, [eax*4+ebx]
lea eax, [ebp+eax]
lea eax, [ebp]
lea eax, [esp]
lea eax, [esp+4]
jmp 0x08:0x1234
jmp word 0x08:0x1234
jmp dword 0x08:0x12345678
call 0x08:start
jmp far [eax]
jmp far word [eax]
jmp far dword [start]
call far [start]
jmp [eax]
jmp word [eax]
jmp eax
jmp ax
call [start]
jmp start
jmp word start
jmp dword start
call start
call word start
jz start
jcxz $
jecxz $
loop $
loop $, cx
loop $, ecx
lds eax, [ebx]
les si, [di]
lss esp, [start]
bound eax, [ebx]
arpl ax, bx
arpl [eax], bx
into
aaa
aas
aam
aam 16
aad
daa
das
salc
mov cr0, eax
mov eax, cr4
mov dr0, eax
mov tr3, eax
mov eax, ds
mov ax, ds
mov ds, eax
mov [eax], ds
mov ds, [eax]
movzx eax, word [bx+si]
movsx ax, byte [eax]
cmpxchg8b [eax]
sysenter
sysexit
lgdt [start]
o16 lgdt [start]
lidt [bx]
sgdt [eax]
ltr ax
str eax
str ax
lldt [eax]
smsw eax
lmsw [eax]
lar ax, bx
lsl eax, [bx]
enter 8, 1
leave
o16 leave
in eax, dx
out dx, ax
rep outsw
rep movsd
es lodsd
a16 stosb
a16 rep movsd
rep a16 lodsb
fs xlatb
es movsb
bts dword [eax], 5
shrd [eax], ebx, 3
imul ecx, [eax], 4
imul ecx, 4
mov byte [eax+ecx*8+1], 'x'
mov eax, [esp+ebp*2]
mov eax, [ebp+esp]
mov eax, [eax+eax]
mov eax, [eax*9-1]
mov eax, [-4]
mov eax, [eax-4]
mov ax, [bp]
mov ax, [bp+di-4]
mov ax, [si+200]
mov ax, [di+bx]
mov ax, [word si+1]
mov ax, [byte si+0]
add eax, 0xfffffff0
add eax, -16
add ax, 0xfff0
sub esp, 4
cmp al, 0xff
cmp word [eax], 0xffff
cmp dword [eax], 0xffffffff
test word [eax], 5
mov word [eax], 0xffff
mov dword [eax], start
mov ax, 0xffff
mov eax, -1
mov al, -1
db start
dw start
dd start - $
fld dword [eax]
fadd st3
movd xmm0, eax
movq xmm0, [eax]
movaps xmm0, xmm1
pxor xmm0, xmm0
wait
fwait
fstenv [eax]
o16 fstenv [eax]
cs nop
lock dec dword [eax]
xlatb
setz cl
cmovz eax, [ebx]
vmcall
rdtsc
invlpg [eax]
cli
bswap eax
cpuid
times 5 nop
hlt
ud2
monitor
`.trim().split("\n");

; The timer, by channel 0 of the 8254 and the 8259A pair: one interrupt and one end of interrupt a tick.
; Port numbers and words: 8254 and 8259A data sheets.

PIT_CHANNEL0    equ 0x40
PIT_CONTROL     equ 0x43
PIT_ONCE        equ 0x30                ; channel 0, low then high byte, mode 0: interrupt on terminal count
PIT_PERIODIC    equ 0x34                ; the same, mode 2: rate generator
PIT_HZ          equ 1193182
NS_PER_SECOND   equ 1000000000
LONGEST_NS      equ 50000000            ; fits the 16-bit counter, which holds 54.9 ms

PIC_MASTER      equ 0x20
PIC_SLAVE       equ 0xa0
PIC_ICW1        equ 0x11                ; edge triggered, cascade, ICW4 follows
PIC_ICW4        equ 0x01                ; 8086 mode
PIC_EOI         equ 0x20                ; non-specific end of interrupt
TIMER_VECTOR    equ 0x20
SLAVE_VECTOR    equ 0x28
ONLY_TIMER      equ 0xfe                ; mask of all lines but 0
ALL_MASKED      equ 0xff

TIMER_OFF       equ 0
TIMER_ONCE      equ 1
TIMER_EVERY     equ 2

%macro outport 2                        ; port, value
    mov   al, %2
    out   %1, al
%endmacro

; rdi: when, rsi: handler
pv_timer_set:
    push  rax
    push  rcx
    push  rdx
    call  timer_setup
    mov   [TIMER_DEADLINE], rdi
    mov   qword [TIMER_MODE], TIMER_ONCE
    call  timer_arm
    outport PIC_MASTER + 1, ONLY_TIMER
    pop   rdx
    pop   rcx
    pop   rax
    ret

; edi: period, rsi: handler
pv_timer_periodic:
    push  rax
    push  rcx
    push  rdx
    call  timer_setup
    mov   qword [TIMER_MODE], TIMER_EVERY
    mov   eax, edi
    call  pit_ticks
    mov   ecx, eax
    outport PIT_CONTROL, PIT_PERIODIC
    call  pit_load
    outport PIC_MASTER + 1, ONLY_TIMER
    pop   rdx
    pop   rcx
    pop   rax
    ret

pv_timer_stop:
    push  rax
    mov   qword [TIMER_MODE], TIMER_OFF
    outport PIC_MASTER + 1, ALL_MASKED
    outport PIT_CONTROL, PIT_ONCE       ; output low until a count is written
    pop   rax
    ret

; rsi: handler. Sets the controllers and the vector up, once. Changes rax.
timer_setup:
    mov   [TIMER_HANDLER], rsi
    cmp   byte [PIC_READY], 0
    jne   .done
    outport PIC_MASTER, PIC_ICW1
    outport PIC_MASTER + 1, TIMER_VECTOR
    outport PIC_MASTER + 1, 1 << 2      ; the slave is on line 2
    outport PIC_MASTER + 1, PIC_ICW4
    outport PIC_SLAVE, PIC_ICW1
    outport PIC_SLAVE + 1, SLAVE_VECTOR
    outport PIC_SLAVE + 1, 2
    outport PIC_SLAVE + 1, PIC_ICW4
    outport PIC_SLAVE + 1, ALL_MASKED
    push  rdi
    push  rsi
    mov   edi, TIMER_VECTOR
    mov   esi, timer_interrupt
    call  pv_trap_set
    pop   rsi
    pop   rdi
    mov   byte [PIC_READY], 1
.done:
    ret

; Arms channel 0 for the deadline, or for as much of the way as it can count. Changes rax, rcx, rdx.
timer_arm:
    call  timer_now
    mov   rcx, [TIMER_DEADLINE]
    sub   rcx, rax
    mov   eax, 1                        ; past: as soon as possible
    jbe   .have_ns
    mov   eax, LONGEST_NS
    cmp   rcx, rax
    cmovb rax, rcx
.have_ns:
    call  pit_ticks
    mov   ecx, eax
    outport PIT_CONTROL, PIT_ONCE
pit_load:                               ; ecx: count
    mov   al, cl
    out   PIT_CHANNEL0, al
    mov   al, ch
    out   PIT_CHANNEL0, al
    ret

; rax: nanoseconds -> rax: counts of the 8254, rounded up. Changes rcx, rdx.
pit_ticks:
    imul  rax, rax, PIT_HZ
    mov   ecx, NS_PER_SECOND
    add   rax, NS_PER_SECOND - 1
    xor   edx, edx
    div   rcx
    ret

; -> rax: nanoseconds. The board's time stamp counter runs at 1 GHz. Changes rdx.
timer_now:
    rdtsc
    shl   rdx, 32
    or    rax, rdx
    ret

; Called as a trap handler. The end of interrupt comes first: the guest's handler need not return (user_exit).
timer_interrupt:
    outport PIC_MASTER, PIC_EOI
    mov   rax, [TIMER_MODE]
    cmp   eax, TIMER_EVERY
    je    .call
    cmp   eax, TIMER_ONCE
    jne   .done
    call  timer_now
    cmp   rax, [TIMER_DEADLINE]
    jb    timer_arm                     ; farther than the counter reaches: one more leg
    mov   qword [TIMER_MODE], TIMER_OFF
.call:
    jmp   [TIMER_HANDLER]
.done:
    ret

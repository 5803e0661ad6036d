/*
 * unwind_registers.h - where a walk begins: the registers of the function that asks.
 */
#ifndef HEAPSPY_UNWIND_REGISTERS_H
#define HEAPSPY_UNWIND_REGISTERS_H

#include <stdint.h>
#include "preload/cfi_interp.h"

/*
 * The registers at one instruction of the function this is inlined in, whose
 * own frame information leads from there to its caller: as long as that function
 * has not returned. registers: CFI_N_REGISTERS words, of which those that a call
 * keeps are written, and the pc.
 */
static inline __attribute__((always_inline)) void unwind_registers_read(uint64_t *registers)
{
	uint64_t pc;

	__asm__ volatile("movq %%rbx, %c2(%1)\n\t"
			 "movq %%rbp, %c3(%1)\n\t"
			 "movq %%rsp, %c4(%1)\n\t"
			 "movq %%r12, %c5(%1)\n\t"
			 "movq %%r13, %c6(%1)\n\t"
			 "movq %%r14, %c7(%1)\n\t"
			 "movq %%r15, %c8(%1)\n\t"
			 "leaq 0f(%%rip), %0\n\t"
			 "movq %0, %c9(%1)\n"
			 "0:"
			 : "=&r"(pc)
			 : "r"(registers), "i"(CFI_RBX * 8), "i"(CFI_RBP * 8), "i"(CFI_RSP * 8),
			 "i"(CFI_R12 * 8), "i"(CFI_R13 * 8), "i"(CFI_R14 * 8), "i"(CFI_R15 * 8),
			 "i"(CFI_RIP * 8)
			 : "memory");
}

#endif

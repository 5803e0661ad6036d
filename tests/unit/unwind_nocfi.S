/*
 * unwind_nocfi.S - code that ld.so's tables do not cover.
 *
 * void nocfi_call(uintptr_t rbp, leaf_function *leaf, void *argument):
 * calls leaf(argument) with any rbp.
 * void pass_to_leaf_compare(void *argument): calls leaf_compare(argument), and
 * leaves rbp as it is; this one is covered.
 * void ud2_first(void): traps in its first instruction, whose address less one
 * is another function's; a handler steps over the two bytes.
 */
	.text
	.globl	nocfi_call
	.type	nocfi_call, @function
nocfi_call:
	pushq	%rbp
	movq	%rdi, %rbp
	movq	%rdx, %rdi
	call	*%rsi
	popq	%rbp
	ret
	.size	nocfi_call, . - nocfi_call

	.globl	pass_to_leaf_compare
	.type	pass_to_leaf_compare, @function
pass_to_leaf_compare:
	.cfi_startproc
	subq	$8, %rsp
	.cfi_def_cfa_offset 16
	call	leaf_compare@PLT
	addq	$8, %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	pass_to_leaf_compare, . - pass_to_leaf_compare

	.globl	ud2_neighbour
	.type	ud2_neighbour, @function
ud2_neighbour:
	.cfi_startproc
	subq	$1000, %rsp
	.cfi_def_cfa_offset 1008
	nop
	.cfi_endproc
	.size	ud2_neighbour, . - ud2_neighbour

	.globl	ud2_first
	.type	ud2_first, @function
ud2_first:
	.cfi_startproc
	ud2
	ret
	.cfi_endproc
	.size	ud2_first, . - ud2_first

	.section .note.GNU-stack, "", @progbits

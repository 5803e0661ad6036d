/*
 * unknown_functions.S - frame information with an instruction of another processor
 * (DW_CFA_GNU_window_save), with one that nobody has, and with a harmless one.
 */
	.text

	.macro function name, instruction
	.p2align 4
	.globl	\name
	.type	\name, @function
\name:
	.cfi_startproc
	sub	$8, %rsp
	.cfi_def_cfa_offset 16
	.cfi_escape \instruction
	call	allocate
	add	$8, %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	\name, . - \name
	.endm

	function with_window, 0x2d
	function with_unknown, 0x3b
	function sound, 0

	.section .note.GNU-stack, "", @progbits

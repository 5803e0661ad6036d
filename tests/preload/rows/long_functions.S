/*
 * long_functions.S - two functions, and frame information of 64-bit lengths for them: of one in the
 * object's own section, of the other as data, to be registered.
 */
	.text

	.macro function name
	.p2align 6
	.globl	\name
	.type	\name, @function
\name:
	push	%rbx
	call	allocate
	pop	%rbx
	ret
	.p2align 6
	.size	\name, . - \name
	.endm

	.macro table name
	.p2align 3
.Lcie_\name:
	.long	0xffffffff
	.quad	.Lcie_end_\name - .Lcie_body_\name
.Lcie_body_\name:
	.long	0
	.byte	1, 0
	.byte	1, 0x78, 16
	.byte	0x0c, 7, 8, 0x90, 1
	.p2align 3
.Lcie_end_\name:
	.long	0xffffffff
	.quad	.Lfde_end_\name - .Lfde_body_\name
.Lfde_body_\name:
	.long	.Lfde_body_\name - .Lcie_\name
	.quad	\name, 64
	.byte	0x0e, 16
	.p2align 3
.Lfde_end_\name:
	.endm

	function in_object
	function registered

	.data
	.globl	long_table
long_table:
	table registered
	.long	0

	.section .eh_frame, "a", @progbits
	table in_object

	.section .note.GNU-stack, "", @progbits

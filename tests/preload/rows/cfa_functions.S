/*
 * cfa_functions.S - functions whose frame information says what compilers rarely do. Each is
 * name(unsigned bytes), calls allocate(bytes), and returns as it should.
 */
	.text

	.macro function name
	.p2align 4
	.globl	\name
	.type	\name, @function
\name:
	.cfi_startproc
	.endm

	.macro end name
	.cfi_endproc
	.size	\name, . - \name
	.endm

/* Realigned; the caller's stack pointer is in a register that is kept. */
	.macro by_register name, register
	function \name
	push	%\register
	.cfi_def_cfa_offset 16
	.cfi_offset \register, -16
	mov	%rsp, %\register
	.cfi_def_cfa_register \register
	sub	$200, %rsp
	and	$-64, %rsp
	call	allocate
	mov	%\register, %rsp
	.cfi_def_cfa_register rsp
	pop	%\register
	.cfi_def_cfa_offset 8
	.cfi_restore \register
	ret
	end \name
	.endm

	by_register by_rbx, rbx
	by_register by_r12, r12
	by_register by_r15, r15

/* The CFA lies in memory, at rsp + 8; rbp, which is cleared, at rsp + 16. */
	function by_expression
	lea	8(%rsp), %rax
	sub	$40, %rsp
	.cfi_def_cfa_offset 48
	mov	%rax, 8(%rsp)
	mov	%rbp, 16(%rsp)
	.cfi_remember_state
	.cfi_escape 0x0f, 3, 0x77, 8, 0x06
	.cfi_escape 0x10, 6, 2, 0x77, 16
	xor	%ebp, %ebp
	call	allocate
	mov	16(%rsp), %rbp
	.cfi_restore_state
	add	$40, %rsp
	.cfi_def_cfa_offset 8
	ret
	end by_expression

/* An offset beside an expression changes nothing, */
	function by_expression_and_offset
	lea	8(%rsp), %rax
	sub	$40, %rsp
	.cfi_def_cfa_offset 48
	mov	%rax, 24(%rsp)
	.cfi_escape 0x0f, 3, 0x77, 24, 0x06
	sub	$16, %rsp
	.cfi_def_cfa_offset 64
	add	$16, %rsp
	call	allocate
	add	$40, %rsp
	.cfi_def_cfa rsp, 8
	ret
	end by_expression_and_offset

/* and the one from before holds again with the next register. */
	function by_expression_and_register
	lea	8(%rsp), %rax
	sub	$40, %rsp
	.cfi_def_cfa_offset 48
	mov	%rax, 24(%rsp)
	.cfi_escape 0x0f, 3, 0x77, 24, 0x06
	nop
	.cfi_def_cfa_register rsp
	call	allocate
	add	$40, %rsp
	.cfi_def_cfa_offset 8
	ret
	end by_expression_and_register

/* A branch and arithmetic: CFA = rsp + 40 + 7 % 4 * 8 - 16. */
	function by_arithmetic
	sub	$40, %rsp
	.cfi_escape 0x0f, 18, 0x77, 0, 0x31, 0x28, 1, 0, 0x13, 0x08, 40, 0x37, 0x34, 0x1d, 0x38
	.cfi_escape 0x1e, 0x22, 0x22, 0x40, 0x1c
	call	allocate
	add	$40, %rsp
	.cfi_def_cfa rsp, 8
	ret
	end by_arithmetic

/* The state at the call was remembered; others came in between. */
	function by_remembered
	sub	$24, %rsp
	.cfi_def_cfa_offset 32
	.cfi_remember_state
	test	%edi, %edi
	jnz	1f
	push	%rbx
	.cfi_def_cfa_offset 40
	.cfi_offset rbx, -40
	.cfi_remember_state
	sub	$1000, %rsp
	.cfi_adjust_cfa_offset 1000
	ud2
	.cfi_restore_state
	pop	%rbx
	ud2
1:
	.cfi_restore_state
	call	allocate
	add	$24, %rsp
	.cfi_def_cfa_offset 8
	ret
	end by_remembered

/* DW_CFA_GNU_args_size changes nothing. */
	function with_args_size
	sub	$24, %rsp
	.cfi_def_cfa_offset 32
	.cfi_escape 0x2e, 0x10
	call	allocate
	add	$24, %rsp
	.cfi_def_cfa_offset 8
	ret
	end with_args_size

/* The return address is in rbx, whose own value is where that was. */
	function return_in_register
	pop	%rax
	push	%rbx
	.cfi_offset rbx, -8
	mov	%rax, %rbx
	.cfi_register rip, rbx
	sub	$24, %rsp
	.cfi_def_cfa_offset 32
	call	allocate
	add	$24, %rsp
	.cfi_def_cfa_offset 8
	mov	%rbx, %rax
	pop	%rbx
	jmp	*%rax
	end return_in_register

/* rbp is not saved but known: the caller has it 32 above its stack pointer. */
	.macro known_rbp_by name, rule:vararg
	function \name
	xor	%ebp, %ebp
	.cfi_escape \rule
	sub	$8, %rsp
	.cfi_def_cfa_offset 16
	call	allocate
	add	$8, %rsp
	.cfi_def_cfa_offset 8
	lea	40(%rsp), %rbp
	.cfi_same_value rbp
	ret
	end \name
	.endm

	.macro with_rbp_around name, callee
	function \name
	push	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	mov	%rsp, %rbp
	.cfi_def_cfa_register rbp
	sub	$32, %rsp
	call	\callee
	leave
	.cfi_def_cfa rsp, 8
	ret
	end \name
	.endm

/* DW_CFA_val_offset_sf; DW_CFA_val_expression, with the CFA there before it begins. */
	known_rbp_by known_rbp, 0x15, 6, 0x7c
	with_rbp_around with_rbp, known_rbp
	known_rbp_by computed_rbp, 0x16, 6, 2, 0x23, 32
	with_rbp_around with_rbp_too, computed_rbp

/* Says that it is the outermost frame. */
	function says_end
	.cfi_undefined rip
	sub	$8, %rsp
	.cfi_def_cfa_offset 16
	call	allocate
	add	$8, %rsp
	.cfi_def_cfa_offset 8
	ret
	end says_end

	.section .note.GNU-stack, "", @progbits

/*
 * cfa.c - hand-written functions whose frame information takes what compilers rarely do: other
 * registers, expressions, remembered states, a return address in a register.
 */
#include "rows.h"

typedef void row_function(unsigned bytes);

/* cfa_functions.S */
row_function by_rbx, by_r12, by_r15, by_expression, by_expression_and_offset,
	by_expression_and_register, by_arithmetic, by_remembered, with_args_size,
	return_in_register, with_rbp, with_rbp_too, says_end;
row_function allocate;

ROW void allocate(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

static const struct {
	const char *callers; /* of allocate() */
	row_function *run;
} rows[] = {
	{ "by_rbx main start", by_rbx },
	{ "by_r12 main start", by_r12 },
	{ "by_r15 main start", by_r15 },
	{ "by_expression main start", by_expression },
	{ "by_expression_and_offset main start", by_expression_and_offset },
	{ "by_expression_and_register main start", by_expression_and_register },
	{ "by_arithmetic main start", by_arithmetic },
	{ "by_remembered main start", by_remembered },
	{ "with_args_size main start", with_args_size },
	{ "return_in_register main start", return_in_register },
	{ "known_rbp with_rbp main start", with_rbp },
	{ "computed_rbp with_rbp_too main start", with_rbp_too },
	{ "says_end", says_end },
};

int main(void)
{
	char chain[100];

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(chain, sizeof(chain), "allocate %s", rows[i].callers);
		CALL(rows[i].run(7001 + 2 * i));
		expect(7001 + 2 * i, "", chain);
	}
	return 0;
}

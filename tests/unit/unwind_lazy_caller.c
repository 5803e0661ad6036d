/* unwind_lazy_caller.c - linked with -z lazy against unwind_lazy.c, which must be bound late. */
int lazy_target(void);
int lazy_caller(void);

int lazy_caller(void)
{
	int result = lazy_target();

	__asm__ volatile("" : "+r"(result));
	return result;
}

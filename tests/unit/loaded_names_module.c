/* loaded_names_module.c - an object with one name of its own, and one that it only uses. */
int MODULE_NAME(void);
int MODULE_NAME(void)
{
	extern int name_that_nobody_defines(void) __attribute__((weak));

	return name_that_nobody_defines ? name_that_nobody_defines() : 5;
}

// symbols_cxx.cc - as symbols_c.c, for names with scopes: templates, anonymous
// namespaces, lambdas, members. Names are separated by tabs here, they hold spaces.
#include <cstdarg>
#include <cstdint>
#include <cstdio>

extern "C" const char __ehdr_start[];

#define NOINLINE __attribute__((noinline))
#define INLINE   __attribute__((always_inline)) inline
#define STAY     __asm__ volatile("")

#ifdef __clang__
#define LAMBDA           "$_0"
#define LOCAL_PARAMETERS "(long)"
#else
#define LAMBDA           "{lambda(int)#1}"
#define LOCAL_PARAMETERS ""
#endif

NOINLINE static void note(const char *expected, ...)
{
	va_list arguments;

	printf("%lx chain ", (unsigned long)((uintptr_t)__builtin_return_address(0) -
					     (uintptr_t)__ehdr_start - 1));
	va_start(arguments, expected);
	vprintf(expected, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	STAY;
}

namespace shop
{

template <class T> struct Cart {
	INLINE void add(T, int line)
	{
		note("shop::Cart<int>::add(int, int):%d\tshop::fill(int):%d", __LINE__, line);
		STAY;
	}
	NOINLINE T remove(T item);
};

template <class T> T Cart<T>::remove(T item)
{
	note("shop::Cart<int>::remove(int):%d", __LINE__);
	STAY;
	return item;
}

NOINLINE void fill(int n)
{
	Cart<int> cart;

	cart.add(n, __LINE__);
	STAY;
}

namespace
{

NOINLINE void hidden(long)
{
	// gcc gives functions of one file no linker name in DWARF, so no parameters.
	note("shop::(anonymous namespace)::hidden" LOCAL_PARAMETERS ":%d", __LINE__);
	STAY;
}

} // namespace

void check_out()
{
	Cart<int> cart;
	auto pay = [](int amount) NOINLINE {
		note("shop::check_out()::" LAMBDA "::operator()(int) const:%d", __LINE__);
		STAY;
		return amount;
	};

	fill(3);
	cart.remove(4);
	hidden(5);
	pay(6);
}

} // namespace shop

int main()
{
	shop::check_out();
	return 0;
}

/*
 * test_name.c - analyzer/symbols/name.c: names as the demangler writes them,
 * and what a table shows and the fold rules see of them.
 */
#include "analyzer/symbols/name.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/name_difference.h"
#include "tests/unit/tap.h"

struct name_case {
	const char *full, *shortened, *identity; /* identity NULL: as shortened */
};

static const struct name_case cases[] = {
	{ "main", "main", NULL },
	{ "", "", NULL },
	{ "std::vector<int, std::allocator<int> >::push_back(int const&)",
		"std::vector<>::push_back", "std::vector::push_back" },
	{ "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::"
	  "_M_create(unsigned long&, unsigned long)",
		"std::basic_string<>::_M_create", "std::basic_string::_M_create" },
	{ "std::__1::vector<int, std::__1::allocator<int> >::reserve(unsigned long)",
		"std::vector<>::reserve", "std::vector::reserve" },
	{ "mystd::__cxx11::f()", "mystd::__cxx11::f", NULL },
	{ "void ns::f<int>(int)", "ns::f<>", "ns::f" },
	{ "std::map<int, (anonymous namespace)::T>& ns::g<4>(int (*)(char))", "ns::g<>", "ns::g" },
	{ "Foo::operator()(int) const", "Foo::operator()", NULL },
	{ "Foo::operator<(Foo const&) const", "Foo::operator<", NULL },
	{ "Foo::operator<< <int>(int)", "Foo::operator<< <>", "Foo::operator<<" },
	{ "bool operator== <int>(A<int> const&, A<int> const&)", "operator== <>", "operator==" },
	{ "Foo::operator->() const", "Foo::operator->", NULL },
	{ "Foo::operator bool() const", "Foo::operator bool", NULL },
	{ "Foo::operator std::vector<int>() const", "Foo::operator std::vector<>",
		"Foo::operator std::vector" },
	{ "operator new(unsigned long)", "operator new", NULL },
	{ "operator new[](unsigned long, std::align_val_t)", "operator new[]", NULL },
	{ "operators::make(int)", "operators::make", NULL },
	{ "my_operator(int)", "my_operator", NULL },
	{ "A<&(B::operator<(int))>::f()", "A<>::f", "A::f" },
	{ "A<(1)>(2)>::f()", "A<>", "A" },
	{ "A<((1)>(2))>::f(int)", "A<>::f", "A::f" },
	{ "decltype(auto) f<int>()", "f<>", "f" },
	{ "main::{lambda(int)#1}::operator()(int) const", "main::{lambda#1}::operator()", NULL },
	{ "f(int)::{lambda(std::vector<int>)#2}::operator()(int) const",
		"f::{lambda#2}::operator()", NULL },
	{ "A::f(int) const::{lambda()#1}::operator()() const", "A::f::{lambda#1}::operator()",
		NULL },
	{ "(anonymous namespace)::parse(char const*)", "(anonymous namespace)::parse", NULL },
	{ "shop::(anonymous namespace)::Cart<int>::add(int)",
		"shop::(anonymous namespace)::Cart<>::add",
		"shop::(anonymous namespace)::Cart::add" },
	{ "std::__cxx11::to_string[abi:cxx11](int)", "std::to_string", NULL },
	{ "virtual thunk to Foo::bar(int)", "Foo::bar", NULL },
	{ "A::f(int) && [clone .cold]", "A::f", NULL },
	{ "f(int) [clone .constprop.0] [clone .isra.0]", "f", NULL },
	{ "f.constprop.0.isra.1", "f", NULL },
	{ "f.part.0", "f", NULL },
	{ "f.cold", "f", NULL },
	{ "f.lto_priv.7", "f", NULL },
	{ "f.partial", "f.partial", NULL },
	{ ".cold", ".cold", NULL },
	{ "libc.so.6+0x1234", "libc.so.6+0x1234", NULL },
	{ "[vdso]+0x6c1", "[vdso]+0x6c1", NULL },
	/* Rust, both manglings. */
	{ "<alloc::vec::Vec<T,A> as core::clone::Clone>::clone",
		"<alloc::vec::Vec<> as core::clone::Clone>::clone", "alloc::vec::Vec::clone" },
	{ "<app::Cache<u8>>::insert::<u32>", "<app::Cache<>>::insert::<>", "app::Cache::insert::" },
	{ "app::run::{{closure}}", "app::run::{{closure}}", NULL },
	/* Go keeps its receivers, Objective-C its selectors. */
	{ "main.(*Server).Run", "main.(*Server).Run", NULL },
	{ "-[NSString init:with:]", "-[NSString init:with:]", NULL },
	/* Names of code made at run time, from perf maps. */
	{ "LazyCompile:*grow server.js:12:3", "LazyCompile:*grow server.js:12:3", NULL },
	{ "JS:~<anonymous> file:///srv/(a)/x.js:1:2", "JS:~<anonymous> file:///srv/(a)/x.js:1:2",
		NULL },
	{ "Lorg/shop/Cart;::add", "Lorg/shop/Cart;::add", NULL },
	{ "app.Cache.insert!(int, 4)", "app.Cache.insert!", NULL },
	/* Nothing sensible: no crash, something to show. */
	{ "f<int", "f<int", NULL },
	{ "f(int", "f", NULL },
	{ "a{b(c", "a{b(c", NULL },
	{ "x[y", "x[y", NULL },
	{ "operator", "operator", NULL },
	{ "<", "<", NULL },
	{ "<>", "<>", "<>" },
	{ ">", ">", NULL },
	{ "()", "()", NULL },
	{ "int ", "int ", NULL },
};

static void test_shorten(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *shortened = name_shorten(cases[i].full);

		CHECK(strcmp(shortened, cases[i].shortened) == 0);
		if (strcmp(shortened, cases[i].shortened) != 0)
			printf("# '%s': got '%s'\n", cases[i].full, shortened);
		free(shortened);
	}
}

static void test_identity(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *expected = cases[i].identity ? cases[i].identity : cases[i].shortened;
		char *identity = name_identity(cases[i].full);

		CHECK(strcmp(identity, expected) == 0);
		if (strcmp(identity, expected) != 0)
			printf("# '%s': got '%s'\n", cases[i].full, identity);
		free(identity);
	}
}

enum { NAMESAKES_MAX = 4 };

static const struct {
	const char *full[NAMESAKES_MAX]; /* up to a NULL */
	const char *told[NAMESAKES_MAX];
} namesakes[] = {
	{ { "V<int, 5>::run(int)", "V<int, 57>::run(int)" },
		{ "V<\xe2\x80\xa6,5>::run", "V<\xe2\x80\xa6,57>::run" } },
	{ { "V<5, int, char>::run()", "V<57, int, char>::run()" },
		{ "V<5,\xe2\x80\xa6>::run", "V<57,\xe2\x80\xa6>::run" } },
	/* The allocator follows from the type, and is no news. */
	{ { "A<std::vector<int, std::allocator<int> >, char>::f<3>()",
		  "A<std::vector<long, std::allocator<long> >, char>::f<3>()",
		  "A<std::vector<long, std::allocator<long> >, char>::f<4>()" },
		{ "A<std::vector<int,\xe2\x80\xa6>,\xe2\x80\xa6>::f<3>",
			"A<std::vector<long,\xe2\x80\xa6>,\xe2\x80\xa6>::f<3>",
			"A<std::vector<long,\xe2\x80\xa6>,\xe2\x80\xa6>::f<4>" } },
	{ { "f<std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > "
	    ">()",
		  "f<int>()", "f<A<B<int> > >()" },
		{ "f<std::string>", "f<int>", "f<A<B<int>>>" } },
	/* Parameters where that is all there is. */
	{ { "add(int)", "add(char const*, int)", "add()" },
		{ "add(int)", "add(char const*,\xe2\x80\xa6)", "add()" } },
	{ { "A<1>::f(int)", "A<2>::f(long)" }, { "A<1>::f", "A<2>::f" } },
	{ { "main::{lambda(int)#1}", "main::{lambda(std::vector<char>)#1}" },
		{ "main::{lambda(int)#1}", "main::{lambda(std::vector<char>)#1}" } },
	{ { "<app::Cache<u8>>::insert", "<app::Cache<u16>>::insert" },
		{ "<app::Cache<u8>>::insert", "<app::Cache<u16>>::insert" } },
	{ { "V<1>::f()", "V<1, 2>::f()" }, { "V<\xe2\x80\xa6>::f", "V<\xe2\x80\xa6,2>::f" } },
	/* Nothing to tell. */
	{ { "f<int>(int)", "f<int>(int)" }, { "f<>", "f<>" } },
	{ { "f", "f() const" }, { "f", "f" } },
	{ { "f<int>()" }, { "f<>" } },
};

static void test_difference(void)
{
	for (size_t i = 0; i < sizeof(namesakes) / sizeof(namesakes[0]); i++) {
		const char *const *told = namesakes[i].told;
		struct name_difference names[NAMESAKES_MAX];
		size_t n = 0;

		while (n < NAMESAKES_MAX && namesakes[i].full[n])
			n++;
		name_difference(namesakes[i].full, n, names);
		for (size_t k = 0; k < n; k++) {
			bool differs = n > 1 && strcmp(told[0], told[1]) != 0;

			CHECK(strcmp(names[k].text, told[k]) == 0);
			if (strcmp(names[k].text, told[k]) != 0)
				printf("# '%s': got '%s'\n", namesakes[i].full[k], names[k].text);
			CHECK((names[k].from < names[k].end) == differs);
			CHECK(names[k].end <= strlen(names[k].text));
			free(names[k].text);
		}
	}
}

/* Random text from the characters that mean something; the promise is about length. */
static void test_any_text(void)
{
	static const char letters[] = "<>()[]{}:: .&-a0operator ,#_";
	uint64_t state = 77;

	for (int round = 0; round < 20000; round++) {
		char text[64], *shortened, *identity;
		size_t n = 0, length = (size_t)(round % 63);

		while (n < length) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			if (state >> 60 == 0 && length - n > 8) {
				memcpy(text + n, "operator", 8);
				n += 8;
			} else {
				text[n++] = letters[(state >> 33) % (sizeof(letters) - 1)];
			}
		}
		text[n] = '\0';
		shortened = name_shorten(text);
		identity = name_identity(text);
		CHECK(strlen(shortened) <= n);
		CHECK(strlen(identity) <= n);
		CHECK(n == 0 || shortened[0]);
		if (n) {
			/* Namesakes at times, by luck. */
			const char *full[] = { text, text + 1 };
			struct name_difference names[2];

			name_difference(full, 2, names);
			CHECK(names[0].end <= strlen(names[0].text));
			free(names[0].text);
			free(names[1].text);
		}
		free(shortened);
		free(identity);
	}
}

int main(void)
{
	TAP_RUN(test_shorten);
	TAP_RUN(test_identity);
	TAP_RUN(test_difference);
	TAP_RUN(test_any_text);
	return tap_done();
}

/*
 * test_fold.c - analyzer/symbols/fold.c: what folds into its caller, and the
 * names next to it that are somebody's code.
 */
#include "analyzer/symbols/fold.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

static const char *const hidden[] = {
	/* the C library */
	"malloc",
	"calloc",
	"realloc",
	"__libc_malloc",
	"__GI___libc_malloc",
	"_int_malloc",
	"_int_realloc",
	"sysmalloc",
	"tcache_init",
	"posix_memalign",
	"aligned_alloc",
	"reallocarray",
	"strdup",
	"__strdup",
	"__GI___strdup",
	"asprintf",
	"__vasprintf_internal",
	"getline",
	"_IO_getdelim",
	"fopen",
	"__fopen_internal",
	"_IO_file_doallocate",
	"__GI__IO_doallocbuf",
	"puts",
	"__vfprintf_internal",
	"open_memstream",
	/* C++ */
	"operator new(unsigned long)",
	"operator new[](unsigned long, std::nothrow_t const&)",
	"operator delete(void*)",
	"__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)",
	"std::allocator_traits<std::allocator<int> >::allocate(std::allocator<int>&, int)",
	"void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(int const&)",
	"std::_Vector_base<int, std::allocator<int> >::_M_allocate(unsigned long)",
	"std::__cxx11::basic_string<char, std::allocator<char> >::_M_create(unsigned long&)",
	"std::_Rb_tree<int, int>::_M_insert(int)",
	"std::_Hashtable<int, int>::_M_rehash(unsigned long)",
	"std::deque<int>::push_back(int const&)",
	"std::__cxx11::list<int>::push_back(int const&)",
	"std::shared_ptr<Foo> std::make_shared<Foo, int>(int&&)",
	"std::__detail::_Hashtable_alloc<int>::_M_allocate_buckets(unsigned long)",
	"std::__1::vector<int, std::__1::allocator<int> >::push_back(int const&)",
	"__cxa_allocate_exception",
	"boost::container::vector<int>::push_back(int)",
	"absl::lts_20220623::container_internal::raw_hash_set<int>::resize(unsigned long)",
	/* wrappers and layers */
	"xmalloc",
	"xrealloc",
	"xcalloc",
	"xstrdup",
	"xasprintf",
	"zmalloc",
	"zcalloc",
	"zrealloc",
	"ztrymalloc_usable",
	"zstrdup",
	"ztrymalloc",
	"ztrymalloc_usable_internal",
	"ztrycalloc_usable",
	"ztryrealloc",
	"_sdsnewlen",
	"sdsnewlen",
	"sdstrynewlen",
	"sdsnew",
	"sdsempty",
	"sdsdup",
	"sdscatlen",
	"sdscatprintf",
	"sdsgrowzero",
	"sdsMakeRoomFor",
	"_sdsMakeRoomFor",
	"hi_sdsnewlen",
	"Perl_safesysmalloc",
	"Perl_safesyscalloc",
	"Perl_safesysrealloc",
	"os::malloc(unsigned long, MEMFLAGS, NativeCallStack const&)",
	"AllocateHeap(unsigned long, MEMFLAGS, AllocFailStrategy::AllocFailEnum)",
	"JLI_MemAlloc",
	"_obstack_newchunk",
	"_obstack_begin",
	"ggc_internal_alloc(unsigned long, void (*)(void*), unsigned long, unsigned long)",
	"ggc_internal_cleared_alloc",
	"llvm::SmallVectorBase<unsigned int>::grow_pod(void*, unsigned long, unsigned long)",
	"llvm::SmallVectorTemplateBase<Foo, false>::grow(unsigned long)",
	"std::__cxx11::basic_string<char>::reserve(unsigned long)",
	"v8::internal::AllocAtLeastWithRetry(unsigned long)",
	"g_slice_copy",
	"g_slice_alloc0",
	"g_string_sized_new",
	"g_string_append_len",
	"g_array_append_vals",
	"g_array_maybe_expand",
	"g_ptr_array_add",
	"g_malloc",
	"g_malloc0",
	"g_try_realloc",
	"g_malloc0_n",
	"g_slice_alloc",
	"g_strdup_printf",
	"PyMem_Malloc",
	"PyMem_RawMalloc",
	"_PyMem_RawMalloc",
	"_PyMem_DebugRawAlloc",
	"PyObject_Malloc",
	"_PyObject_Malloc",
	"_PyObject_GC_NewVar",
	"PyType_GenericAlloc",
	"_PyObject_Realloc",
	"palloc",
	"palloc0",
	"repalloc",
	"pstrdup",
	"MemoryContextAlloc",
	"MemoryContextAllocZeroAligned",
	"AllocSetAlloc",
	"AllocSetRealloc",
	"AllocSetContextCreateInternal",
	"je_malloc",
	"je_arena_malloc_hard",
	"tc_malloc",
	"tc_new",
	"tcmalloc::allocate_full_malloc_oom(unsigned long)",
	"mi_malloc",
	"_mi_heap_malloc_zero",
	"sqlite3Malloc",
	"sqlite3MemMalloc",
	"sqlite3DbMallocRawNN",
	"sqlite3DbMallocZero",
	"sqlite3_malloc64",
	"sqlite3DbStrDup",
	"CRYPTO_malloc",
	"CRYPTO_zalloc",
	"av_malloc",
	"av_mallocz",
	"av_realloc_f",
	"ngx_palloc",
	"apr_palloc",
	/* Rust */
	"__rust_alloc",
	"__rdl_alloc",
	"alloc::alloc::alloc",
	"alloc::raw_vec::finish_grow",
	"alloc::raw_vec::RawVec<T,A>::reserve::do_reserve_and_handle",
	"<alloc::vec::Vec<T,A> as core::clone::Clone>::clone",
	"hashbrown::raw::RawTable<T,A>::reserve_rehash",
	"<T as alloc::slice::hack::ConvertVec>::to_vec",
	"<str as alloc::borrow::ToOwned>::to_owned",
	"<str>::repeat",
	"<[T]>::to_vec",
	/* stdio's insides, and what a thread is made of */
	"outstring_func",
	"allocate_dtv",
	"__pthread_create_2_1",
};

static const char *const shown[] = {
	"main",
	"malloc_report",
	"parse_malloc_options",
	"mallocator",
	"my_malloc",
	"do_realloc",
	"Pool::malloc(unsigned long)",
	"pool::calloc",
	"std_parse",
	"stdx::vector<int>::push_back(int)",
	"MyVector::push",
	"MyVector<std::vector<int> >::push_back(std::vector<int> const&)",
	"std_helpers::make(std::vector<int> const&)",
	"std::vector<int> load_all<std::vector<int> >(std::string const&)",
	"app::parse(std::allocator<int>)::{lambda(std::vector<int>)#1}::operator()(int) const",
	"Foo::operator new(unsigned long)",
	"Foo::operator()(unsigned long)",
	"operator newline(int)",
	"xmalloc_tuning_load",
	"xml_alloc_node",
	"zmalloc_default_oom",
	"zoo_allocator_setup",
	"sdsload",
	"sds_new_session",
	"my_sdsnew",
	"sdsnewlen_report",
	"Perl_sv_grow",
	"Perl_safesysmalloc_size_of",
	"os::init()",
	"myos::malloc(unsigned long)",
	"AllocateHeapDump(int)",
	"JLI_Launch",
	"obstack_report",
	"ggc_collect",
	"llvm::SmallVectorStats::report()",
	"llvm::Function::Create(int)",
	"mllvm::SmallVectorBase<int>::grow_pod(int)",
	"v8::internal::Factory::NewString(int)",
	"BUF_MEM_grow",
	"BIO_new",
	"g_strsplit",
	"g_arrays_load",
	"dictAdd",
	"createObject",
	"g_malloc_stats_dump",
	"g_hash_table_new",
	"list_resize",
	"PyList_Append",
	"PyMem_SetupAllocators",
	"pymalloc_print_stats",
	"palloc_stats_show",
	"CreateCachedPlan",
	"lappend",
	"MemoryContextStats",
	"sqlite3BtreeOpen",
	"sqlite3MallocSize_report",
	"CRYPTO_malloc_info_print",
	"av_frame_alloc",
	"jeans_new",
	"tc_parse_filter",
	"mi_update_row",
	"getline_from_peer",
	"fopen_log",
	"read_puts",
	"app::Cache<alloc::vec::Vec<u8>>::insert",
	"<app::Key as core::clone::Clone>::clone",
	"alloc::Pool::take(int)",
	"core::Engine::start()",
	"prog+0x1234",
	"libmalloc_helper.so+0x10",
	"<T as app::Store>::put",
	"<[u8] as app::Codec>::encode",
	"outstring_func_load",
	"my_pthread_create",
};

static void test_hidden(void)
{
	char error[256];
	struct fold *fold = fold_new(NULL, error, sizeof(error));

	CHECK(fold != NULL);
	for (size_t i = 0; fold && i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		CHECK(fold_hides(fold, hidden[i], "/usr/bin/app"));
		if (!fold_hides(fold, hidden[i], "/usr/bin/app"))
			printf("# shows '%s'\n", hidden[i]);
	}
	fold_free(fold);
}

static void test_shown(void)
{
	char error[256];
	struct fold *fold = fold_new(NULL, error, sizeof(error));

	CHECK(fold != NULL);
	for (size_t i = 0; fold && i < sizeof(shown) / sizeof(shown[0]); i++) {
		CHECK(!fold_hides(fold, shown[i], "/usr/bin/app"));
		if (fold_hides(fold, shown[i], "/usr/bin/app"))
			printf("# hides '%s'\n", shown[i]);
	}
	fold_free(fold);
}

/* What functions of the library call, and those that only hold or build the same things. */
static const struct {
	const char *function, *callback; /* NULL: it folds */
} callbacks[] = {
	{ "std::_Function_handler<void (), main::{lambda()#1}>::_M_invoke(std::_Any_data const&)",
		"main::{lambda()#1}" },
	{ "std::_Function_handler<Order (int), (anonymous namespace)::Functor>::_M_invoke("
	  "std::_Any_data const&, int&&)",
		"(anonymous namespace)::Functor" },
	{ "std::thread::_State_impl<std::thread::_Invoker<std::tuple<worker(int)::{lambda()#1}> > "
	  ">::_M_run()",
		"worker(int)::{lambda()#1}" },
	{ "std::thread::_State_impl<std::thread::_Invoker<std::tuple<Task, int, Order*> > "
	  ">::_M_run()",
		"Task" },
	{ "std::_Function_handler<std::unique_ptr<std::__future_base::_Result_base, "
	  "std::__future_base::_Result_base::_Deleter> (), std::__future_base::_Task_setter<"
	  "std::unique_ptr<std::__future_base::_Result<int>, "
	  "std::__future_base::_Result_base::_Deleter>, "
	  "std::thread::_Invoker<std::tuple<f(std::vector<int>, char) const::{lambda()#4}> >, int> "
	  ">::_M_invoke(std::_Any_data const&)",
		"f(std::vector<int>, char) const::{lambda()#4}" },
	{ "std::for_each<__gnu_cxx::__normal_iterator<int*, std::vector<int> >, {lambda(int)#3}>("
	  "int)",
		"{lambda(int)#3}" },
	{ "std::__insertion_sort<Order*, __gnu_cxx::__ops::_Iter_comp_iter<app::Less<int> > >("
	  "Order*, Order*, __gnu_cxx::__ops::_Iter_comp_iter<app::Less<int> >)",
		"app::Less<int>" },
	{ "std::accumulate<Order*, std::string, app::sum()::{lambda(int)#1}>(Order*, Order*)",
		"app::sum()::{lambda(int)#1}" },
	{ "std::__invoke_impl<Order, Functor const&, int>(std::__invoke_other, Functor const&)",
		"Functor" },
	{ "std::_Bind<app::Task (int)>::operator()<>()", "app::Task" },
	{ "std::__detail::__variant::__gen_vtable_impl<std::__detail::__variant::_Multi_array<"
	  "std::__detail::__variant::__deduce_visit_result<void> (*)(main::{lambda(auto:1&)#1}&&, "
	  "std::variant<int, double>&)>, std::integer_sequence<unsigned long, 0ul> >::"
	  "__visit_invoke(main::{lambda(auto:1&)#1}&&, std::variant<int, double>&)",
		"main::{lambda(auto:1&)#1}" },
	{ "std::__1::__function::__func<main::{lambda()#1}, std::__1::allocator<"
	  "main::{lambda()#1}>, void ()>::operator()()",
		"main::{lambda()#1}" },
	{ "std::__1::__function::__policy_invoker<void ()>::__call_impl<std::__1::__function::"
	  "__default_alloc_func<main::{lambda()#2}, void ()> >("
	  "std::__1::__function::__policy_storage const*)",
		"main::{lambda()#2}" },
	{ "std::__1::__thread_proxy<std::__1::tuple<std::__1::unique_ptr<"
	  "std::__1::__thread_struct>, main::{lambda()#1}> >(void*)",
		"main::{lambda()#1}" },
	/* A pointer to a function is called, not inlined. */
	{ "std::_Function_handler<void (int), void (*)(int)>::_M_invoke(std::_Any_data const&)",
		NULL },
	{ "std::thread::_State_impl<std::thread::_Invoker<std::tuple<void (Svc::*)(int), Svc*, "
	  "int> > >::_M_run()",
		NULL },
	{ "std::_Function_handler<int (), std::function<Order ()> >::_M_invoke()", NULL },
	/* What is made of a lambda is its maker's. */
	{ "std::function<void ()>::function<main::{lambda()#1}>(main::{lambda()#1})", NULL },
	{ "std::_Function_base::_Base_manager<main::{lambda()#1}>::_M_create(std::_Any_data&)",
		NULL },
	{ "std::_Function_handler<void (), main::{lambda()#1}>::_M_manager(std::_Any_data&)",
		NULL },
	{ "std::thread::thread<main::{lambda()#1}>(main::{lambda()#1}&&)", NULL },
	{ "std::make_shared<Order, main::{lambda()#1}>(main::{lambda()#1}&&)", NULL },
	{ "std::vector<main::{lambda()#1}>::emplace_back(main::{lambda()#1}&&)", NULL },
	/* Elements and iterators are not called. */
	{ "std::vector<Order, std::allocator<Order> >::_M_realloc_insert<Order>(Order&&)", NULL },
	{ "std::sort<Order*>(Order*, Order*)", NULL },
	{ "std::_Rb_tree<Order, Order, std::_Identity<Order>, main::{lambda()#1}>::_M_insert()",
		NULL },
	{ "malloc", NULL },
	/* Nothing sensible. */
	{ "std::_Function_handler<", NULL },
	{ "std::_Function_handler<void (), >::_M_invoke()", NULL },
	{ "std::for_each<>()", NULL },
	{ "std::thread::_State_impl<std::tuple<std::tuple<std::tuple<> > > >::_M_run()", NULL },
};

static void test_callbacks(void)
{
	char error[256];
	struct fold *fold = fold_new(NULL, error, sizeof(error));

	for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
		const char *expected = callbacks[i].callback;
		char *name = fold_callback(fold, callbacks[i].function);
		bool ok = name && expected ? strcmp(name, expected) == 0 : name == expected;

		CHECK(ok);
		if (!ok)
			printf("# '%s': got '%s'\n", callbacks[i].function, name ? name : "");
		free(name);
	}
	fold_free(fold);

	/* What was to be hidden stays so, and with nothing hidden all is shown as it is. */
	fold = fold_new("_M_invoke$", error, sizeof(error));
	CHECK(fold_callback(fold, callbacks[0].function) == NULL);
	fold_free(fold);
	fold = fold_new("^main::", error, sizeof(error));
	CHECK(fold_callback(fold, callbacks[0].function) == NULL);
	fold_free(fold);
	fold = fold_new("none", error, sizeof(error));
	CHECK(fold_callback(fold, callbacks[0].function) == NULL);
	fold_free(fold);
}

static void test_modules(void)
{
	char error[256];
	struct fold *fold = fold_new(NULL, error, sizeof(error));

	CHECK(fold_hides(
		fold, "recorder_sample", "/usr/lib/x86_64-linux-gnu/heapspy/libheapspy.so"));
	CHECK(fold_hides(fold, "libjemalloc.so.2+0x10", "/usr/lib/libjemalloc.so.2"));
	CHECK(fold_hides(fold, "f", "libtcmalloc_minimal.so.4"));
	CHECK(!fold_hides(fold, "f", "/opt/libjemalloc.so.2/app"));
	CHECK(!fold_hides(fold, "f", "/usr/bin/heapspy"));
	CHECK(!fold_hides(fold, "f", NULL));
	CHECK(fold_hides(fold, "malloc", NULL));
	fold_free(fold);
}

static void test_user(void)
{
	char error[256] = "";
	struct fold *fold = fold_new("^Pool::|buffer_new$", error, sizeof(error));

	CHECK(fold_hides(fold, "Pool::take(int)", NULL));
	CHECK(fold_hides(fold, "my_buffer_new", NULL));
	CHECK(fold_hides(fold, "malloc", NULL));
	CHECK(!fold_hides(fold, "MyPool::take(int)", NULL));
	CHECK(!fold_hides(fold, "main", NULL));
	fold_free(fold);

	fold = fold_new("none", error, sizeof(error));
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		CHECK(!fold_hides(fold, hidden[i], "/usr/lib/libheapspy.so"));
	fold_free(fold);

	CHECK(error[0] == '\0');
	CHECK(fold_new("a(b", error, sizeof(error)) == NULL);
	CHECK(strstr(error, "a(b") != NULL && !strchr(error, '\n'));
}

int main(void)
{
	TAP_RUN(test_hidden);
	TAP_RUN(test_shown);
	TAP_RUN(test_callbacks);
	TAP_RUN(test_modules);
	TAP_RUN(test_user);
	return tap_done();
}

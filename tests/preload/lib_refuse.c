/*
 * lib_refuse.c - preloaded behind libheapspy.so: has the kernel refuse system calls that come from
 * libheapspy.so's own code, and none of the program's. HEAPSPY_TEST_REFUSE says which:
 *
 *     NUMBER:ERRNO    that one, with that error
 *     trace           all of them are shown to the tracer (prog_refuse.c)
 *
 * Its constructor runs before libheapspy.so begins, and must not allocate: that would be the
 * beginning. The filter is installed without libc's help, which libheapspy.so would see.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct range {
	uintptr_t begin, end;
};

static int find_text(struct dl_phdr_info *info, size_t bytes, void *context)
{
	struct range *range = context;
	int i;

	if (!strstr(info->dlpi_name, "/libheapspy.so"))
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
			range->begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			range->end = range->begin + info->dlpi_phdr[i].p_memsz;
		}
	return 1;
}

static long call(long number, long a, long b, long c)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

static void stop(const char *why)
{
	call(SYS_write, 2, (long)why, (long)strlen(why));
	call(SYS_exit_group, 98, 0, 0);
}

#define IP offsetof(struct seccomp_data, instruction_pointer)

static void install(const struct range *from, uint32_t number, int any, uint32_t action)
{
	/* The address of the instruction behind the call lies in from. */
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(from->begin >> 32), 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)from->begin, 0, 4),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)from->end, 3, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, any ? 0 : number, 0, 1),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, any ? UINT32_MAX : number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, action),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0) ||
		call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program))
		stop("lib_refuse: no filter can be installed\n");
}

__attribute__((constructor)) static void refuse(void)
{
	const char *what = getenv("HEAPSPY_TEST_REFUSE");
	struct range text = { 0, 0 };
	char *end;
	long number;

	if (!what)
		return;
	dl_iterate_phdr(find_text, &text);
	if (!text.begin || text.begin >> 32 != text.end >> 32)
		stop("lib_refuse: libheapspy.so is not there, or lies across 4 GiB\n");
	if (strcmp(what, "trace") == 0) {
		install(&text, 0, 1, SECCOMP_RET_TRACE);
		return;
	}
	number = strtol(what, &end, 10);
	if (*end != ':')
		stop("lib_refuse: expected NUMBER:ERRNO\n");
	install(&text, (uint32_t)number, 0,
		SECCOMP_RET_ERRNO | ((uint32_t)strtol(end + 1, NULL, 10) & SECCOMP_RET_DATA));
}

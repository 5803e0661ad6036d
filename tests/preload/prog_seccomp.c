/*
 * prog_seccomp.c - allocates under a filter that kills it for any system call malloc itself does
 * not make.
 *
 *     prog_seccomp prctl|syscall       how the filter is installed
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "victim.h"

#define ALLOW(number)                                                                              \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                                         \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char **argv)
{
	struct sock_filter filter[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_exit_group), ALLOW(SYS_exit),
		ALLOW(SYS_futex), ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_mremap),
		ALLOW(SYS_brk), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS) };
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	double until_s;

	REQUIRE(argc > 1);
	free(keep(malloc(1000)));
	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (strcmp(argv[1], "prctl") == 0)
		REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	else
		REQUIRE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	until_s = now_s() + 0.5;
	for (size_t i = 0; now_s() < until_s; i++) {
		void *block = keep(malloc(i % 300000));

		REQUIRE(block);
		if (i % 16 != 0 || i > 100000)
			free(block);
	}
	REQUIRE(write(1, "alive\n", 6) == 6);
	_exit(42);
}

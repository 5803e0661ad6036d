/*
 * proc.h - what /proc tells of a process, as far as heapspy asks.
 */
#ifndef HEAPSPY_ANALYZER_PROC_H
#define HEAPSPY_ANALYZER_PROC_H

#include <stdbool.h>
#include <stdint.h>

struct proc_stat {
	char state; /* 'R', 'S', 'T', 'Z', ... */
	uint32_t ppid;
	int32_t terminal_group; /* in the foreground of its terminal; -1: it has none */
	uint32_t n_threads;
	uint64_t start_ticks; /* field 22: with the pid, the identity of a process */
	uint64_t stack_start; /* another one after each exec; 0 unknown */
};

/* False when there is no such process, or it cannot be read: errno ENOENT or ESRCH, or else. */
bool proc_read_stat(uint32_t pid, struct proc_stat *out);

/*
 * Whether the process of this pid and start time runs (also stopped); a zombie does not.
 * One that cannot be looked at, for want of descriptors or memory or because /proc hides it,
 * counts as running.
 */
bool proc_is_alive(uint32_t pid, uint64_t start_ticks);

/* The same, with what was read; all zero where that could not be. */
bool proc_is_alive_as(uint32_t pid, uint64_t start_ticks, struct proc_stat *out);

/* Whether there is a process, or a zombie, of this pid. */
bool proc_is_there(uint32_t pid);

/* Its pid as it knows it itself (innermost pid namespace); pid itself where that is unknown. */
uint32_t proc_own_pid(uint32_t pid);

/*
 * The pid here of a process that knows itself as own_pid: the same, unless it lives
 * in a pid namespace below ours. own_pid where there is none of that start time.
 */
uint32_t proc_pid_here(uint32_t own_pid, uint64_t start_ticks);

/* Whether a process that is there descends from ancestor. */
bool proc_is_below(uint32_t pid, uint32_t ancestor);

/* A thread of the process that has not ended: its main thread, if that has not. */
uint32_t proc_living_thread(uint32_t pid);

/* The effective user that /proc shows for it; -1 unknown. */
uint32_t proc_uid(uint32_t pid);

/*
 * Whether the process has a state in a file of this inode number mapped; true where its maps cannot
 * be read though it is there.
 */
bool proc_maps_file(uint32_t pid, uint64_t inode);

/* VmRSS in bytes; 0 unknown. */
uint64_t proc_rss_bytes(uint32_t pid);

/* Whether it sees the same files as we do (mount namespace and root); true where unknown. */
bool proc_shares_files(uint32_t pid);

/* Whether at least the directory at this absolute path is the same one for it and for us. */
bool proc_shares_dir(uint32_t pid, const char *dir);

#endif

/*
 * state.h - the shared state of one profiled process: the only runtime data of
 * heapspy. Every snapshot is a reading of it (preload/state/snapshot_writer.c),
 * whoever does the reading: the process itself or another one, also after death.
 *
 * Rules that make that possible:
 *  - fixed offsets from the start of the mapping, no pointers; 0 means none;
 *  - publish last: content first, then the word that makes it reachable, stored
 *    with release order (a killed writer leaves at most an unreachable record);
 *  - counters only grow, in 64 bits; sums wrap consistently (thinned may be negative);
 *  - a reader trusts nothing: offsets are checked against committed_bytes.
 *
 *     state_header | tables (chunks) and records, handed out by a bump pointer
 *
 * Invariants: header_bytes <= used_bytes <= committed_bytes <= max_bytes;
 * all bytes below committed_bytes are backed by memory (no SIGBUS, no fault).
 */
#ifndef HEAPSPY_STATE_H
#define HEAPSPY_STATE_H

#include <stdint.h>
#include "heapspy/snapshot.h"

#define STATE_MAGIC      0x6574617473797073ull
#define STATE_VERSION    8
#define STATE_ALIGN      16 /* of every record: an id is offset / STATE_ALIGN */
#define STATE_CHUNKS_MAX 96
#define STATE_PATH_BYTES 512
#define STATE_NAME_BYTES 16

/* Lists of modules, by start address. */
#define STATE_MODULE_LISTS_LOG2 8

enum state_chunk_kind {
	STATE_CHUNK_LIVE = 1, /* struct state_live_segment */
	STATE_CHUNK_INDEX,    /* uint64_t slots: stack hash, stack id */
	STATE_CHUNK_MODULES,  /* struct state_module, in order of serial */
	STATE_CHUNK_THREADS,  /* struct state_thread */
	STATE_CHUNK_NAMES,    /* thread names, STATE_NAME_BYTES each */
	STATE_CHUNK_TICKS,    /* struct heapspy_tick ring */
};

struct state_chunk {
	uint32_t kind; /* 0 until the rest is right: released by state_map_add_chunk() */
	uint32_t reserved;
	uint64_t offset;
	uint64_t bytes;
};

/*
 * Whose business snapshots are, if not the process's own. The holder writes
 * heartbeat_ns once a second; silent for STATE_LEASE_NS (at exit: for half of it)
 * it has lost the lease until it speaks again. All else is written once, by the
 * process.
 */
struct state_lease {
	uint32_t pid;       /* 0: nobody's */
	uint32_t is_beyond; /* that number means somebody else in the process's own pid namespace */
	uint64_t start_ticks;
	uint64_t heartbeat_ns; /* CLOCK_MONOTONIC */
};

/*
 * What the memory group of the process leaves it, as last seen by who looks at it: the writer of
 * the process, or the holder of the lease. Before it grows, the state asks here (state_map.c).
 */
struct state_room {
	uint64_t limit_bytes; /* 0: there is none */
	uint64_t left_bytes;
	uint64_t rss_bytes;       /* of the process then, */
	uint64_t bytes_seen;      /* what it had allocated in all, */
	uint64_t committed_bytes; /* and the size of the state */
	uint64_t ns;              /* CLOCK_MONOTONIC; 0: nobody has looked */
};

#define STATE_LEASE_NS     5000000000ull
#define STATE_HEARTBEAT_NS 1000000000ull

/*
 * The live bytes in two sums that know of each other's samples by chance alone, and what is kept
 * of the times when one of them, or both together, were at their most: site_stats.h. Each of these
 * changes as a whole (hs_cas_pair()). Sums are signed: a sample may leave before it has joined.
 */
struct state_halves {
	__attribute__((aligned(16))) uint64_t bytes[2];
};

struct state_half_peak {
	__attribute__((aligned(16))) uint64_t bytes; /* the most that this half was, */
	uint64_t other_bytes;                        /* and what the other was then */
};

struct state_peak {
	__attribute__((aligned(16))) uint64_t bytes;
	uint64_t ns; /* CLOCK_MONOTONIC */
};

struct state_header {
	/* Written once, before the state can be found by anybody. */
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint32_t pid;
	uint32_t variance_unit_log2;
	uint64_t start_ticks;
	uint64_t start_id;
	uint64_t start_wall_ns;
	uint64_t start_ns;
	uint64_t interval_bytes;
	uint64_t max_bytes;      /* but for state_map_lower_cap() */
	uint64_t cpu_max_ppm;    /* CPU budget, in millionths of a core; 0 none */
	uint64_t keep_bytes;     /* what its snapshots may take on disk; 0 any */
	uint32_t near_limit_ppm; /* of the memory limit: a snapshot is due; 0 none */
	uint32_t state_errno;    /* as in struct heapspy_info */
	uint8_t boot_id[16];
	char comm[STATE_NAME_BYTES];
	char host[64];
	char exe[STATE_PATH_BYTES];
	char front_malloc[STATE_PATH_BYTES]; /* set with HEAPSPY_INFO_NOT_INTERPOSED */
	char next_malloc[STATE_PATH_BYTES];
	/* Where snapshots go: as snapshot_dir.h has it. */
	uint64_t snapshot_interval_ns; /* 0: none on time */
	uint32_t writer;               /* enum settings_writer */
	uint32_t dir_is_parents;       /* a directory of our own inside dir */
	char dir[STATE_PATH_BYTES];    /* HEAPSPY_DIR expanded, or "" */
	char cwd[STATE_PATH_BYTES];
	char tmpdir[STATE_PATH_BYTES / 2];
	/* Inode numbers: whose numbers and whose paths these are; 0 unknown. */
	uint64_t pid_namespace, mount_namespace;

	/* Any thread of the process, atomically. First what is read at each sample. */
	uint32_t flags;        /* HEAPSPY_INFO_*, what holds for the whole process */
	uint32_t level;        /* R = interval_bytes << level; only rises */
	uint32_t walked_level; /* each sample has been brought to it, or to a later one */
	uint32_t grow_lock;    /* try-lock: who appends a table; see state_map_grow() */
	uint64_t committed_bytes;
	uint64_t used_bytes;
	uint32_t n_chunks; /* handed out; a chunk is there once its kind is */
	uint32_t n_names;
	uint32_t n_modules;
	uint32_t n_thread_slots;
	uint64_t thread_free; /* version << 32 | slot + 1: stack of free slots */
	uint64_t cpu_due_ns;  /* CLOCK_MONOTONIC of the next look at the budget; claimed by CAS */

	uint64_t tick_second; /* last second that has its tick; claimed by CAS */

	/* Written at each sample: a cache line that threads pass on, with nothing else in it. */
	__attribute__((aligned(64))) uint64_t bytes_seen;
	uint64_t samples;
	uint64_t deaths;
	uint64_t live_samples;
	struct state_halves half; /* what the live samples stand for */
	uint64_t last_ns;         /* CLOCK_MONOTONIC of about the last birth or death */

	/* Read at each birth, and written when there is more than ever before: the next line. */
	__attribute__((
		aligned(64))) struct state_half_peak half_peak[2]; /* of the level in force */
	struct state_peak peak_live; /* of both halves together, at all levels */
	uint64_t older_peak_bytes;   /* the largest peak by halves of the levels before, */
	uint32_t older_peak_level;   /* and its level: thinning.c */
	uint32_t reserved_peak;

	__attribute__((aligned(64))) uint64_t n_stacks;
	/* What we cost: self_time.h, and the budget's window, cpu_budget.c. */
	uint64_t self_ns;      /* own CPU time, all of it */
	uint64_t sampling_ns;  /* of it births and deaths of samples, estimated */
	uint64_t timed_events; /* births and deaths that were timed */
	uint64_t event_ns_x16; /* moving average of their times */
	uint64_t cpu_window_ns, cpu_window_sampling_ns, cpu_window_events; /* at its beginning */
	uint64_t level_ns[HEAPSPY_LEVEL_MAX + 1]; /* as in struct heapspy_info */
	uint32_t levels_by_cpu;                   /* bit i: level i was the budget's doing */
	uint32_t reserved_levels;
	uint64_t losses[HEAPSPY_N_LOSSES];
	uint64_t work_bytes;               /* of the process, for us, outside the state */
	uint32_t grow_errno, helper_errno; /* as in struct heapspy_info */

	/* The writer of snapshots. */
	uint32_t writer_lock;    /* try-lock */
	uint32_t next_number;    /* of the next snapshot file; holder of writer_lock */
	uint64_t due_ns;         /* CLOCK_MONOTONIC of the next one on time; 0 none */
	uint64_t pictured_bytes; /* the most live bytes at one of the process's own snapshots */
	uint32_t snapshot_errno; /* as in struct heapspy_info */
	uint32_t n_pruned;
	uint64_t watch_ns; /* CLOCK_MONOTONIC of the process's next look at its memory limit */
	struct state_room room;
	struct state_lease lease;
	uint64_t exit_ns; /* CLOCK_MONOTONIC of its end, since which all stands still; 0. At an exec
			     it is the next image that writes it: state_files.h */
	uint32_t wrote_end; /* the process has written its last snapshot itself */
	uint32_t reserved;

	/* Serial of the first; a list grows at the front. */
	uint32_t module_list[1 << STATE_MODULE_LISTS_LOG2];
	struct state_chunk chunk[STATE_CHUNKS_MAX];
};

/*
 * Live samples: buckets of eight. A key is the address and its marks; the
 * home bucket follows from the filter index of the address alone, so that
 * addresses sharing a bit of the filter meet in one probe sequence.
 * key 0: free. Whoever sets STATE_KEY_RESERVED or STATE_KEY_BUSY owns the slot until it clears it.
 */
#define STATE_BUCKET_SLOTS   8
#define STATE_KEY_RESERVED   (1ull << 63) /* being filled: nobody else looks at the value */
#define STATE_KEY_BUSY       (1ull << 62) /* being removed, or re-weighed by thinning */
#define STATE_KEY_DEAD       (1ull << 61) /* freed while busy: the owner finishes the death */
#define STATE_KEY_ADDRESS(k) ((k)&0xffffffffffffull)

struct state_live_value {
	uint64_t size_thread; /* as in struct heapspy_sample */
	uint64_t birth_level;
	uint32_t stack;
	uint32_t u;
};

struct state_live_bucket {
	uint64_t key[STATE_BUCKET_SLOTS];
	struct state_live_value value[STATE_BUCKET_SLOTS];
};

struct state_live_segment {
	uint64_t n_buckets; /* power of two */
	uint64_t count;     /* slots in use */
	uint64_t buckets;   /* offset of the buckets from the segment, a multiple of 64 */
	uint8_t overflow[]; /* a bucket: 1 once something was pushed on to the next */
};

/* Stack index slot: hash bits 63..32, stack id 31..0; 0: free. Insert only. */

/* An interned stack and its cumulative counters; its id is offset / STATE_ALIGN. */
struct state_stack {
	uint64_t hash;
	uint32_t n_frames;
	uint32_t flags; /* HEAPSPY_STACK_* */
	uint32_t approx_from;
	uint32_t extras; /* id of the first struct state_extra; grows at the front */
	uint64_t n, S, B, V, C;
	uint64_t frame[]; /* HEAPSPY_FRAME_MAKE, leaf first */
};

/* Sparse counters of a stack: four lifetime buckets, or what thinning took. */
#define STATE_EXTRA_BUCKETS 4
#define STATE_EXTRA_THINNED (HEAPSPY_LIFETIME_BUCKETS / STATE_EXTRA_BUCKETS)

struct state_extra {
	uint32_t next;
	uint32_t group; /* lifetime bucket / 4, or STATE_EXTRA_THINNED */
	union {
		struct {
			uint64_t n, B, C;
		} died[STATE_EXTRA_BUCKETS];
		struct {
			uint64_t n, S, B, V, C;
		} thinned;
	};
};

#define STATE_MODULE_READY (1u << 0)
#define STATE_MODULE_MAIN  (1u << 1)

struct state_module {
	uint64_t start_address, end_address, load_bias;
	uint32_t flags;       /* released last, by modules_serial() */
	uint32_t next;        /* serial of the next in its list; 0 none */
	uint32_t generation;  /* of the rows when the module was last found in memory */
	uint32_t path_offset; /* bytes from the start of the state; NUL-terminated */
	uint32_t build_id_bytes;
	uint32_t reserved;
	uint8_t build_id[32];
};

/* Where a thread keeps its countdown: read by whoever sums bytes_seen. */
struct state_thread {
	uint64_t countdown; /* address of its struct state_countdown in the process; 0 free */
	uint32_t next_free; /* slot + 1 */
	uint32_t reserved;
};

/*
 * What a thread has allocated and not yet added to bytes_seen is gap - left; it
 * lies in the thread's own memory, where only the process itself can write.
 */
struct state_countdown {
	uint64_t left, gap;
	uint32_t slot; /* of the thread in STATE_CHUNK_THREADS, + 1 */
	uint32_t flags;
};

#define STATE_COUNTDOWN_IDLE (1u << 0) /* gap is a pause between looks, not a drawn one */

#endif

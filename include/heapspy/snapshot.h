/*
 * snapshot.h - the bytes of a heapspy snapshot file (*.hspy), format 1.
 *
 * docs/format.md explains the same in prose, well enough for a second reader.
 * All integers are little-endian. A file is
 *
 *     heapspy_file_header
 *     heapspy_section [n_sections]        the section table
 *     section bodies                      each 8-byte aligned, in any order
 *
 *     INFO     one heapspy_info           what, when, how exact; may grow at its end
 *     STRINGS  bytes                      NUL-terminated UTF-8-ish strings; offset 0 is ""
 *     MODULES  heapspy_module []          loaded objects, by serial
 *     THREADS  uint32_t []                thread name id -> string offset; [0] is unknown
 *     STACKS   varints                    interned stacks with their counters, see below
 *     LIVE     heapspy_sample []          the samples alive at the cut
 *     TICKS    heapspy_tick []            totals of the last seconds, oldest first
 *
 * Version rule: a new section kind, or a field at the end of INFO, keeps the
 * version (readers skip kinds they do not know and take fields beyond the end
 * of a shorter INFO as 0). Anything else raises HEAPSPY_FORMAT_VERSION.
 *
 * STACKS is a sequence of LEB128 varints (zz = zigzag-coded signed):
 *
 *     section := record*                   up to the end of the section; ids are unique
 *     record  := id flags approx_from n_frames frame* counters thinned deaths
 *     frame   := (zz(pc - pc of the frame before, 0 at first) << 1 | new_tag) [tag]
 *                tag = module serial << 1 | exact; stays in force for the record, 0 at first
 *     counters := n S B V C                cumulative allocations of this stack
 *     thinned := 0 | 1 zz(n) zz(S) zz(B) zz(V) zz(C)
 *     deaths  := count (bucket n B C){count}
 *
 * n samples, S requested bytes, B estimated bytes, V variance of B in units of
 * 2^variance_unit_log2, C estimated blocks in 1/1024 (docs/sampling.md has the
 * weights). A bucket j holds samples freed after [2^j, 2^(j+1)) ns.
 */
#ifndef HEAPSPY_SNAPSHOT_H
#define HEAPSPY_SNAPSHOT_H

#include <stdint.h>

#define HEAPSPY_FORMAT_VERSION 1
#define HEAPSPY_MAGIC_BYTES    8
/* A byte above 127, both line ends and a NUL: a text-mode copy shows at once. */
#define HEAPSPY_MAGIC          "\x89HSPY\r\n"
#define HEAPSPY_SECTIONS_MAX   16

enum heapspy_section_kind {
	HEAPSPY_SECTION_INFO = 1,
	HEAPSPY_SECTION_STRINGS = 2,
	HEAPSPY_SECTION_MODULES = 3,
	HEAPSPY_SECTION_THREADS = 4,
	HEAPSPY_SECTION_STACKS = 5,
	HEAPSPY_SECTION_LIVE = 6,
	HEAPSPY_SECTION_TICKS = 7,
};

struct heapspy_file_header {
	uint8_t magic[HEAPSPY_MAGIC_BYTES]; /* HEAPSPY_MAGIC with its closing NUL */
	uint32_t version;
	uint32_t n_sections;
	uint64_t file_bytes; /* whole file */
	uint64_t checksum;   /* XXH64, seed 0, of the 24 bytes before and the section table */
};

struct heapspy_section {
	uint32_t kind;
	uint32_t reserved; /* 0 */
	uint64_t offset;   /* from the start of the file */
	uint64_t bytes;
	uint64_t checksum; /* XXH64, seed 0, of the body */
};

enum heapspy_reason {
	HEAPSPY_REASON_INTERVAL = 1,
	HEAPSPY_REASON_EXIT = 2,
	HEAPSPY_REASON_LABEL = 3,     /* heapspy_snapshot() */
	HEAPSPY_REASON_REQUEST = 4,   /* asked for from outside */
	HEAPSPY_REASON_PEAK = 5,      /* more is live than in any snapshot before */
	HEAPSPY_REASON_LIMIT = 6,     /* near a memory limit */
	HEAPSPY_REASON_RECOVERED = 7, /* read after the process had died */
};

/* heapspy_info.flags */
#define HEAPSPY_INFO_NOT_INTERPOSED (1u << 0) /* another malloc stands before ours */
#define HEAPSPY_INFO_FORK_CHILD     (1u << 1) /* started empty at a fork */
#define HEAPSPY_INFO_BYTES_LOWER    (1u << 2) /* bytes_seen misses what some threads hold */
#define HEAPSPY_INFO_THINNING       (1u << 3) /* a thinning walk was under way */
#define HEAPSPY_INFO_STOPPED        (1u << 4) /* sampling is off (heapspy_stop, START=off) */
#define HEAPSPY_INFO_STATE_PRIVATE  (1u << 5) /* state in private memory: no tmpfs to be had */
#define HEAPSPY_INFO_LOWER_BOUND    (1u << 6) /* samples were lost: figures are lower bounds */
#define HEAPSPY_INFO_UNSEEN_DOORS   (1u << 7) /* blocks may go back unseen, and look live */
#define HEAPSPY_INFO_SECCOMP        (1u << 8) /* a filter came: no system call of ours since then */

/* What was dropped or ignored; heapspy_info.losses[] is indexed by these. */
enum heapspy_loss {
	HEAPSPY_LOSS_REENTRY,       /* sample points met inside the library (signal handlers) */
	HEAPSPY_LOSS_NO_SCRATCH,    /* samples: no memory for the thread's work area */
	HEAPSPY_LOSS_STATE_FULL,    /* samples that found no room even after thinning */
	HEAPSPY_LOSS_REPLACED,      /* live samples whose block had been freed unseen */
	HEAPSPY_LOSS_FOLDED,        /* samples put under a shortened stack: state full */
	HEAPSPY_LOSS_MODULES,       /* modules beyond the table: their frames have serial 0 */
	HEAPSPY_LOSS_THREAD_SLOTS,  /* threads whose running bytes no snapshot can see */
	HEAPSPY_LOSS_SNAPSHOTS,     /* snapshots that could not be written */
	HEAPSPY_LOSS_DEATHS,        /* deaths without room for their lifetime bucket */
	HEAPSPY_LOSS_FORK_CHILDREN, /* children that could not get a state of their own */
	HEAPSPY_LOSS_CUT_STACKS,    /* stacks cut at the depth limit */
	HEAPSPY_LOSS_BROKEN_STACKS, /* stacks that ended at code that cannot be walked */
	HEAPSPY_N_LOSSES = 16,
};

struct heapspy_info {
	uint32_t flags;
	uint32_t reason;         /* enum heapspy_reason */
	uint32_t number;         /* of this snapshot in its directory, from 1 */
	uint32_t pid;            /* in the process's own pid namespace */
	uint64_t start_id;       /* the same in all snapshots of one process image */
	uint64_t start_ticks;    /* /proc/PID/stat field 22 */
	uint8_t boot_id[16];     /* /proc/sys/kernel/random/boot_id; 0 unknown */
	uint64_t start_wall_ns;  /* CLOCK_REALTIME when the library began; at a fork, to 10 ms */
	uint64_t start_ns;       /* CLOCK_MONOTONIC at the same moment */
	uint64_t cut_wall_ns;    /* CLOCK_REALTIME at the cut; a label, may jump */
	uint64_t cut_ns;         /* ns from start_ns to the cut: the time of this snapshot */
	uint64_t interval_bytes; /* R0, mean sampling interval at the start; 1 = every block */
	uint32_t level;          /* R in force = R0 << level */
	uint32_t variance_unit_log2;
	uint64_t bytes_seen; /* exact bytes allocated since start, before the tables were read */
	uint64_t bytes_seen_end;  /* the same after */
	uint64_t samples;         /* sampled allocations so far */
	uint64_t deaths;          /* of them freed so far */
	uint64_t self_ns;         /* own CPU time in the process: sampling, thinning, snapshots */
	uint64_t state_bytes;     /* committed of the state */
	uint64_t state_max_bytes; /* its cap */
	uint64_t rss_bytes;       /* VmRSS at the cut or when last seen; 0 unknown */
	uint64_t rss_peak_bytes;  /* VmHWM */
	uint32_t comm;            /* string offsets: command name, */
	uint32_t exe;             /* executable, */
	uint32_t host;            /* host name, */
	uint32_t label;           /* of heapspy_snapshot() or from outside, */
	uint32_t front_malloc;    /* the object whose malloc stands before ours, */
	uint32_t next_malloc;     /* and the object we forward to */
	uint64_t losses[HEAPSPY_N_LOSSES];
	/* Since the first release; 0 where a file ends before. */
	uint64_t peak_live_bytes; /* largest estimate of the live bytes so far */
	uint64_t peak_ns;         /* when that was, since start_ns */
	uint64_t live_bytes;      /* the same estimate at the cut */
	/*
	 * The live bytes by halves. A sample of weight b and variance v gives v/R to one of them,
	 * [u & 1], and half of the rest of b to both.
	 */
	uint64_t half_bytes[2];       /* at the cut */
	uint64_t half_peak_bytes[2];  /* their maxima since the level in force began, */
	uint64_t half_other_bytes[2]; /* and what the other half was then */
	uint64_t older_peak_bytes;    /* the largest sum of these two in a level before, */
	uint32_t older_peak_level;    /* and that level */
	uint32_t limit_kind;          /* enum heapspy_limit */
	uint64_t limit_bytes;      /* the memory limit that is nearest at the cut; 0 none known */
	uint64_t limit_used_bytes; /* what counts against it */
	uint64_t cpu_max_ppm;      /* CPU budget in millionths of a core; 0 none */
	uint64_t level_ns[16];     /* when a level came into force, since start_ns; 0 never */
	/* Why something is not as it was asked for, as errno has it; 0: nothing of the kind. */
	uint32_t state_errno;    /* with HEAPSPY_INFO_STATE_PRIVATE: of the file; 0: asked for */
	uint32_t grow_errno;     /* the last step that the state could not grow by */
	uint32_t helper_errno;   /* of the helper thread */
	uint32_t snapshot_errno; /* the last snapshot that could not be written */
	uint32_t near_limit_ppm; /* share of the memory limit that is near; 0 none */
	uint32_t n_pruned;       /* snapshots of this process removed, to keep to keep_bytes */
	uint64_t keep_bytes;     /* what the snapshots of a process may take on disk; 0: any */
	uint64_t own_bytes;      /* memory that the profiler has taken in the process, state_bytes
				    and all its tables and work areas in it */
};

/* Which limit heapspy_info.limit_bytes is. */
enum heapspy_limit {
	HEAPSPY_LIMIT_NONE,
	HEAPSPY_LIMIT_CGROUP_V2, /* memory.max of the nearest group, or of one above */
	HEAPSPY_LIMIT_CGROUP_V1, /* memory.limit_in_bytes */
	HEAPSPY_LIMIT_AS,        /* RLIMIT_AS */
};

#define HEAPSPY_INFO_BYTES_MIN 320 /* up to and including losses */

/* heapspy_module.flags */
#define HEAPSPY_MODULE_MAIN (1u << 0) /* the program itself */

struct heapspy_module {
	uint32_t serial;        /* what the tag of a frame names; never reused */
	uint32_t path;          /* string offset */
	uint64_t start_address; /* mapped range */
	uint64_t end_address;
	uint64_t load_bias; /* runtime address - ELF virtual address */
	uint32_t flags;
	uint32_t build_id_bytes; /* 0: none */
	uint8_t build_id[32];
};

/* A frame in memory and in the state: 48 bits of pc, module serial, exactness. */
#define HEAPSPY_FRAME_EXACT     (1ull << 63)
#define HEAPSPY_FRAME_PC(f)     ((uint64_t)(f)&0xffffffffffffull)
#define HEAPSPY_FRAME_MODULE(f) ((uint32_t)((uint64_t)(f) >> 48) & 0x7fffu)
#define HEAPSPY_FRAME_MAKE(pc, module, exact)                                                      \
	(HEAPSPY_FRAME_PC(pc) | (uint64_t)((module)&0x7fffu) << 48 |                               \
		((exact) ? HEAPSPY_FRAME_EXACT : 0))
#define HEAPSPY_MODULE_SERIAL_MAX 0x7fffu

/* Flags of a stack. */
#define HEAPSPY_STACK_CUT       (1u << 0) /* ended at the depth limit */
#define HEAPSPY_STACK_TRUNCATED (1u << 1) /* ended at code that cannot be walked */
#define HEAPSPY_STACK_APPROX    (1u << 2) /* from frame approx_from on by frame pointers */
#define HEAPSPY_STACK_SIGNAL    (1u << 3) /* holds a signal frame */
#define HEAPSPY_STACK_FOREIGN   (1u << 4) /* not on the thread's own stack */
#define HEAPSPY_STACK_FOLDED    (1u << 5) /* shortened because the state was full */

/* One live sample; the same bytes in the state and in the file. */
struct heapspy_sample {
	uint64_t address;
	uint64_t size_thread; /* bits 0..47 requested bytes, 48..63 thread name id */
	uint64_t birth_level; /* bits 0..55 birth, ns since start_ns, modulo 2^56; 56..59 level of R
				 at birth; 60..63 level its weights stand at now */
	uint32_t stack;       /* id of a STACKS record */
	uint32_t u;           /* drawn at birth, uniform in [0, 2^32): thinning rule */
};

#define HEAPSPY_SAMPLE_SIZE(s)        ((s)->size_thread & 0xffffffffffffull)
#define HEAPSPY_SAMPLE_THREAD(s)      ((uint32_t)((s)->size_thread >> 48))
#define HEAPSPY_SAMPLE_BIRTH_NS(s)    ((s)->birth_level & 0xffffffffffffffull) /* modulo 2^56 */
#define HEAPSPY_SAMPLE_BIRTH_LEVEL(s) ((uint32_t)((s)->birth_level >> 56) & 15)
#define HEAPSPY_SAMPLE_LEVEL(s)       ((uint32_t)((s)->birth_level >> 60))
#define HEAPSPY_LEVEL_MAX             15

/* Totals at the end of one second. */
struct heapspy_tick {
	uint64_t time_ns; /* since start_ns */
	uint64_t bytes_seen;
	uint64_t live_samples;
};

#define HEAPSPY_LIFETIME_BUCKETS 48

_Static_assert(sizeof(struct heapspy_file_header) == 32, "format 1");
_Static_assert(sizeof(struct heapspy_section) == 32, "format 1");
_Static_assert(sizeof(struct heapspy_module) == 72, "format 1");
_Static_assert(sizeof(struct heapspy_sample) == 32, "format 1");
_Static_assert(sizeof(struct heapspy_tick) == 24, "format 1");
_Static_assert(sizeof(struct heapspy_info) == 600, "format 1");

#endif

/* compiler.h - the few compiler words the library uses, spelled once. */
#ifndef HEAPSPY_COMPILER_H
#define HEAPSPY_COMPILER_H

#define HS_LIKELY(x)   __builtin_expect(!!(x), 1)
#define HS_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The rare half of a hook: out of line, in its own text section. */
#define HS_COLD    __attribute__((cold, noinline))
/* What a sample runs through: out of line too, but fast, and side by side in the text. */
#define HS_SAMPLED __attribute__((hot, noinline))
#define HS_EXPORT  __attribute__((visibility("default")))

/* One word reachable by %fs offset: no __tls_get_addr, which may allocate. */
#define HS_TLS __thread __attribute__((tls_model("initial-exec")))

#define HS_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif

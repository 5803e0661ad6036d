/*
 * moment_json.h - what a snapshot is, as an object that all JSON outputs share.
 */
#ifndef HEAPSPY_ANALYZER_MOMENT_JSON_H
#define HEAPSPY_ANALYZER_MOMENT_JSON_H

#include "analyzer/input.h"
#include "analyzer/out/json.h"

/* {"file", "program", "pid", "number", "reason", "label", "time", "wall", "interval", ...}. */
void moment_add_json(struct json *j, const char *key, const struct input *in);

/* Word for enum heapspy_reason; "unknown" beyond it. */
const char *moment_reason_text(uint32_t reason);

#endif

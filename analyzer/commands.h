/* commands.h - the table of subcommands, which dispatch, help, completion and tests walk. */
#ifndef HEAPSPY_ANALYZER_COMMANDS_H
#define HEAPSPY_ANALYZER_COMMANDS_H

#include "analyzer/cmd.h"

/* In the order of the overview; NULL ends it. */
extern const struct command *const commands_all[];

/* The command of that name, hidden ones too; NULL with f filled, naming the nearest one. */
const struct command *commands_find(const char *name, struct fail *f);

/* Adds the text of `heapspy help`; library is the path of libheapspy.so for its example. */
void commands_add_overview(struct strbuf *out, const char *library);

/* Adds the text of `heapspy COMMAND --help`. */
void commands_add_help(struct strbuf *out, const struct command *command);

/* Adds that of `heapspy help NAME`, a command or a topic. -1 with f filled: it is neither. */
int commands_help(struct strbuf *out, const char *name, struct fail *f);

#endif

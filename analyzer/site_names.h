/*
 * site_names.h - rows that a table would show with the same text, told apart.
 */
#ifndef HEAPSPY_ANALYZER_SITE_NAMES_H
#define HEAPSPY_ANALYZER_SITE_NAMES_H

#include "analyzer/sites.h"

/*
 * Gives the sites of one short name and place that are different functions, mostly instances of
 * a template, a distinct name with what differs. Rows of one function stay alike.
 */
void site_names_tell_apart(struct sites *sites);

/* Frees them. */
void site_names_deinit(struct sites *sites);

/*
 * A POSIX extended regular expression for --focus that means the function of a site: its name
 * without arguments where no other site would match, else all of it. From malloc().
 */
char *site_names_pattern(const struct sites *sites, const struct site *site);

#endif

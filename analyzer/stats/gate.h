/*
 * gate.h - whether a candidate uses more than a baseline, from a few runs of each.
 *
 * Totals (bytes allocated, peak) are compared on the log scale with t limits. With d the
 * difference of the means of the logarithms, n_b and n_c runs,
 *
 *	s^2 = max(pooled variance of the logarithms, .01^2, sampling variance)
 *	fails iff d - t sqrt(s^2 (1/n_b + 1/n_c)) > ln(1 + limit),  t = t(1 - alpha; n_b + n_c - 2)
 *
 * Where one side is a single run nothing is known of its spread: s is then at least .10 and t the
 * normal quantile, which holds up to a real spread of about 6 %.
 *
 * Sites are many and each is noisy, so they lend each other their spread (moderated variance,
 * Smyth, Stat Appl Genet Mol Biol 3:3, 2004): with b, c the means over runs, r the pooled variance
 * between runs, Vm the mean sampling variance of one run and phi the spread that is usual among
 * the sites,
 *
 *	prior = Vm + (phi (b + c) / 2)^2
 *	var = max((20 prior + (n_b + n_c - 2) r) / (20 + n_b + n_c - 2), Vm)
 *	t = (c - (1 + limit) b) / sqrt(var (1/n_c + (1 + limit)^2 / n_b)),  20 + n_b + n_c - 2 df
 *
 * Pure functions without allocation or I/O; safe in any thread.
 */
#ifndef HEAPSPY_STATS_GATE_H
#define HEAPSPY_STATS_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/stats/interval.h"

/*
 * P(T > t) of Student's t with df > 0 degrees of freedom, whole or not; INFINITY is the normal
 * distribution. To 11 digits up to a thousand df, to 8 beyond.
 */
double gate_student_tail(double t, double df);

/* The t with P(T > t) = p, 0 < p < 1. */
double gate_student_quantile(double p, double df);

/* What a gate found. Changes are relative: .2 is +20 %, INFINITY growth from nothing. */
struct gate_result {
	double base_bytes, candidate_bytes; /* means: geometric of totals, arithmetic of sites */
	double change;
	struct interval range;   /* of the change, 95 %; hi may be INFINITY */
	double p_value;          /* of "the change is at most the limit" */
	double detectable;       /* the change that fails in 9 of 10 cases; INFINITY: none would */
	double detectable_bytes; /* that growth in bytes */
	double sd;               /* s of a total, sqrt(var) in bytes of a site */
	bool fails;
};

/* Runs of one side; bytes[n], n >= 1. Totals below one byte count as one. */
struct gate_runs {
	const double *bytes;
	size_t n;
};

/*
 * sampling_variance: that of one run relative to its figure squared (0: the figure is exact);
 * limit >= 0; 0 < alpha < .5.
 */
void gate_judge_total(const struct gate_runs *base, const struct gate_runs *candidate,
	double sampling_variance, double limit, double alpha, struct gate_result *result);

struct gate_site {
	double base_bytes, candidate_bytes;
	double run_variance;      /* r */
	double sampling_variance; /* Vm */
	size_t n_base, n_candidate;
};

/* sampling_variance: mean of the variances of all runs, bytes squared. */
struct gate_site gate_site_of(
	const struct gate_runs *base, const struct gate_runs *candidate, double sampling_variance);

/* Variance between runs beyond that of sampling, relative to the mean squared; may be negative. */
double gate_site_excess(const struct gate_site *site);

/*
 * phi, from the excesses of the sites that have at least 16 mean intervals of bytes, which it
 * sorts in place: root of their mean, those above the 98th percentile cut to it; at least .05.
 */
double gate_usual_spread(double *excesses, size_t n);

/*
 * limit: the relative growth that passes; least_bytes: a growth below passes, too; alpha: of this
 * one site, so the family's divided by the number of sites.
 */
void gate_judge_site(const struct gate_site *site, double usual_spread, double limit,
	double least_bytes, double alpha, struct gate_result *result);

#endif

/* The statistics of a tensor from those of its blocks.
 *
 * Accuracy: a block's sums are taken in double around the mean so far; where too much of them cancels, once
 * more around the block's own mean. Blocks merge as in Chan, Golub, LeVeque 1983, "Algorithms for computing
 * the sample variance", The American Statistician 37(3), with mean and m2 each held as the unevaluated sum of
 * two doubles (Dekker 1971), so that neither the order of the blocks nor their number costs digits.
 */
#include "summary.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "exponents.h"

static const double CANCELLED = 16; /* times smaller than the sum it came from: four bits of 53 are gone */

void summary_begin(struct summary *to, const struct passes *isa, const double *limits, uint64_t *bins) {
    memset(to, 0, offsetof(struct summary, planes));
    to->isa = isa, to->limits = limits, to->bins = to->bytes = bins;
    to->low = INFINITY, to->high = -INFINITY;
    to->first = -1, to->rest = 1;
}

/* a + b as a rounded sum and what rounding lost. */
static void add_exactly(double a, double b, double *sum, double *rest) {
    const double s = a + b, part = s - a;
    *rest = (a - (s - part)) + (b - part);
    *sum = s;
}

static void merge(struct summary *to, int64_t count, double shift, double sum, double m2) {
    const double n = (double)to->finite, m = (double)count, share = m / (n + m);
    double mean, rest, gap, lost;
    add_exactly(shift, sum / m, &mean, &rest);
    to->finite += count;
    if (n == 0) {
        to->mean = mean, to->mean_rest = rest, to->m2 = m2;
        return;
    }
    add_exactly(mean, -to->mean, &gap, &lost);
    if (!isfinite(gap)) { /* apart by more than a double: halves of both can still be averaged */
        to->mean = to->mean * (n / (n + m)) + mean * share;
        to->mean_rest = 0, to->m2 = INFINITY, to->m2_rest = 0;
        return;
    }
    gap += lost + (rest - to->mean_rest);
    const double step = gap * share;
    add_exactly(to->mean, step, &to->mean, &lost);
    add_exactly(to->mean, to->mean_rest + lost, &to->mean, &to->mean_rest);
    add_exactly(to->m2, m2 + gap * step * n, &to->m2, &lost);
    if (isfinite(lost))
        to->m2_rest += lost;
}

/* m2 of a block from its sums; below zero only by rounding. */
static double spread(const struct moments *found, double n) {
    const double m2 = found->squares - found->sum * (found->sum / n);
    return m2 > 0 ? m2 : 0;
}

static double clamped(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

#define REAL float
#define BITS 32
#include "summary_block.h"
#define REAL double
#define BITS 64
#include "summary_block.h"

void summary_end(struct summary *from, int64_t count, double *statistics) {
    if (from->bins)
        exponents_flush(from);
    const int any = from->finite > 0;
    const double m2 = from->m2 + from->m2_rest, mean = from->mean + from->mean_rest;
    const double found[UNBUG_STATISTICS] = {
        (double)count,
        any ? clamped(mean, from->low, from->high) : NAN,
        any ? (m2 > 0 ? m2 : 0) : NAN,
        any ? from->low : NAN,
        any ? from->high : NAN,
        (double)from->zeros,
        (double)from->nans,
        (double)from->infs,
        from->limits ? (double)from->saturated : NAN,
    };
    memcpy(statistics, found, sizeof found);
}

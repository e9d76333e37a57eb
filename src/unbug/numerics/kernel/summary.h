/* What the blocks of a tensor have given so far, and how one more is added. */
#ifndef UNBUG_SUMMARY_H
#define UNBUG_SUMMARY_H

#include <stddef.h>

#include "kernel.h"
#include "passes.h"

enum {
    TABLES = 8, /* of counts, so that equal neighbours do not wait for each other */
    MOST = 3,   /* windows: beyond, tables are as fast */
};

struct summary {
    const struct passes *isa;
    const double *limits; /* NULL: nothing saturates */
    uint64_t *bins;       /* NULL: exponents are not counted */
    int64_t finite, zeros, nans, infs, saturated;
    double mean, mean_rest; /* the mean is the sum of both; m2 likewise */
    double m2, m2_rest;
    double low, high;
    int first;       /* exponent at which the windows begin; -1: tables are used */
    int windows;     /* how many, side by side */
    int rest;        /* blocks until the window is tried again */
    int tabled;      /* whether the tables hold counts */
    int base;        /* of double: the exponent that byte 0 would have */
    uint64_t *bytes; /* counts of bytes: the bins, or `narrow` where these are more than 256 */
    uint64_t narrow[256];
    int planed;                 /* how many of the planes hold counts */
    struct planes planes[MOST]; /* this and the tables are not cleared before they are used */
    uint32_t tables[TABLES][256];
};

void summary_begin(struct summary *to, const struct passes *isa, const double *limits, uint64_t *bins);

/* Up to BLOCK elements, 4 or 8 byte aligned. */
void summary_add32(struct summary *to, const float *x, int64_t n);
void summary_add64(struct summary *to, const double *x, int64_t n);

/* The statistics, in the order of UNBUG_STATISTICS; completes the bins. */
void summary_end(struct summary *from, int64_t count, double *statistics);

#endif

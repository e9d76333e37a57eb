/* Counts of the binary exponents of a summary's blocks. */
#ifndef UNBUG_EXPONENTS_H
#define UNBUG_EXPONENTS_H

#include "summary.h"

/* `magnitude`: of the block's largest element, infinite where one is NaN. */
void exponents_add32(struct summary *to, const float *x, int64_t n, double magnitude);
void exponents_add64(struct summary *to, const double *x, int64_t n, double magnitude);

/* Bring what the tables hold into the bins. */
void exponents_flush(struct summary *to);

/* The counts as bytes: see numerics/histogram.py for the layout. Returns their number. */
int32_t exponents_pack(const uint64_t *bins, int wide, int64_t zeros, int64_t looked_at, uint8_t *packed);

#endif

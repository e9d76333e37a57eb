/* What one instruction set offers: the loops of block.h, compiled for it. */
#ifndef UNBUG_PASSES_H
#define UNBUG_PASSES_H

#include <stdint.h>

enum {
    BLOCK = 4096,  /* elements: 16 kB of float32, next to their exponents and the count tables */
    GRANULE = 64,  /* what the widest loops step by */
    WINDOW = 16,   /* exponents counted side by side */
    PLANES = 1024, /* bytes that bit planes step by */
};

struct moments {
    double sum, squares; /* of x - shift */
    double low, high;
    int any_zero;
};

/* Bit planes of the counts of WINDOW exponents: of one, two, four and eight, by eights of them, then
 * sixteens. */
struct planes {
    uint8_t plane[2][4][64], sums[WINDOW][64];
    int32_t groups;
};

struct passes {
    const char *name;
    void (*moments32)(const float *, int64_t, double, struct moments *);
    void (*moments64)(const double *, int64_t, double, struct moments *);
    double (*squares32)(const float *, int64_t);
    double (*squares64)(const double *, int64_t);
    void (*exponents32)(const float *, int64_t, uint8_t *);
    int64_t (*exponents64)(const double *, int64_t, int, uint8_t *);
    void (*window)(const uint8_t *, int64_t, int,
                   uint64_t *); /* this and the next: NULL where tables are faster */
    int64_t (*strays)(const uint8_t *, int64_t, int, int, uint64_t *);
    void (*planes_add)(struct planes *, const uint8_t *, int64_t, int,
                       uint64_t *); /* NULL: the window is faster */
    void (*planes_flush)(struct planes *, int, uint64_t *);
    void (*widen_f16)(const uint16_t *, int64_t, float *);
    void (*widen_bf16)(const uint16_t *, int64_t, float *);
    void (*subtract32)(const float *, const float *, int64_t, float *);
    void (*subtract64)(const double *, const double *, int64_t, double *);
    int64_t (*zeros32)(const float *, int64_t);
    int64_t (*zeros64)(const double *, int64_t);
    int64_t (*outside32)(const float *, int64_t, float, float);
    int64_t (*outside64)(const double *, int64_t, double, double);
    void (*replace32)(const float *, int64_t, float, float *, int64_t *, int64_t *);
    void (*replace64)(const double *, int64_t, double, double *, int64_t *, int64_t *);
};

/* The best that this processor has; another by name, NULL where it is not to be had. */
const struct passes *passes_best(void);
const struct passes *passes_named(const char *name);

#endif

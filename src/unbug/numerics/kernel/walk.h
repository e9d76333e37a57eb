/* A tensor's memory, whatever its type, strides and alignment, as blocks of float or of double. */
#ifndef UNBUG_WALK_H
#define UNBUG_WALK_H

#include "kernel.h"
#include "passes.h"

/* Where the next block begins, and room for one that must be gathered and widened. */
struct walk {
    const struct passes *isa;
    const struct unbug_tensor *tensor;
    int64_t done;
    int64_t at[UNBUG_DIMENSIONS];
    union {
        float single[BLOCK];
        double wide[BLOCK];
    } widened;
    union {
        uint64_t aligned;
        uint8_t bytes[8 * BLOCK];
    } gathered;
};

/* Whether a tensor can be walked over. */
int walk_supports(const struct unbug_tensor *tensor);

/* Whether its blocks are of double. */
int walk_is_wide(const struct unbug_tensor *tensor);

void walk_begin(struct walk *walk, const struct passes *isa, const struct unbug_tensor *tensor);

/* The next elements, float or double, and their number, at most BLOCK; 0 at the end. */
int64_t walk_next(struct walk *walk, const void **block);

#endif

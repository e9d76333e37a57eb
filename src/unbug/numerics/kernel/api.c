/* The exported functions. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "exponents.h"
#include "kernel.h"
#include "modes.h"
#include "passes.h"
#include "summary.h"
#include "walk.h"

static const struct passes *chosen; /* whoever sets it first sets the same, so that no lock is needed */

static const struct passes *in_use(void) {
    const struct passes *found = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (!found) {
        found = passes_best();
        __atomic_store_n(&chosen, found, __ATOMIC_RELAXED);
    }
    return found;
}

int32_t unbug_abi(void) {
    return UNBUG_ABI;
}

const char *unbug_isa(void) {
    return in_use()->name;
}

const char *unbug_choose(const char *name) {
    const struct passes *found = passes_named(name);
    if (found)
        __atomic_store_n(&chosen, found, __ATOMIC_RELAXED);
    return found ? found->name : NULL;
}

static int has_exponents(const struct unbug_tensor *tensor) {
    return tensor->type <= UNBUG_BF16;
}

static void summarize(const struct unbug_tensor *tensor, const double *limits, double *statistics,
                      uint64_t *bins) {
    struct summary summary;
    struct walk walk;
    const void *block;
    int64_t n;
    const int wide = walk_is_wide(tensor);
    const uint64_t modes = modes_enter();
    summary_begin(&summary, in_use(), limits, bins);
    walk_begin(&walk, in_use(), tensor);
    while ((n = walk_next(&walk, &block)))
        if (wide)
            summary_add64(&summary, block, n);
        else
            summary_add32(&summary, block, n);
    summary_end(&summary, tensor->elements, statistics);
    modes_leave(modes);
}

int32_t unbug_summary(const struct unbug_tensor *tensor, const double *limits, double *statistics,
                      uint64_t *bins) {
    if (!walk_supports(tensor) || (bins && !has_exponents(tensor)))
        return -1;
    if (bins)
        memset(bins, 0, sizeof(uint64_t) * (tensor->type == UNBUG_F64 ? UNBUG_BINS : 256));
    summarize(tensor, limits, statistics, bins);
    return 0;
}

int32_t unbug_packed(const struct unbug_tensor *tensor, const double *limits, double *statistics,
                     uint8_t *packed) {
    uint64_t bins[UNBUG_BINS];
    if (unbug_summary(tensor, limits, statistics, bins))
        return -1;
    return exponents_pack(bins, tensor->type == UNBUG_F64, (int64_t)statistics[5], tensor->elements, packed);
}

int64_t unbug_summaries(int64_t count, const void *const *data, const int64_t *elements, const int32_t *types,
                        double *statistics) {
    int64_t supported = 0;
    for (int64_t i = 0; i < count; i++, statistics += UNBUG_STATISTICS) {
        const struct unbug_tensor tensor = {.data = data[i], .elements = elements[i], .type = types[i]};
        if (unbug_summary(&tensor, NULL, statistics, NULL) == 0)
            supported++;
        else
            for (int j = 0; j < UNBUG_STATISTICS; j++)
                statistics[j] = NAN;
    }
    return supported;
}

/* Squares of a block of any length. */
static double squares32(const struct passes *isa, const float *x, int64_t n) {
    const int64_t whole = n - n % GRANULE;
    double sum = isa->squares32(x, whole);
    for (int64_t i = whole; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

static double squares64(const struct passes *isa, const double *x, int64_t n) {
    const int64_t whole = n - n % GRANULE;
    double sum = isa->squares64(x, whole);
    for (int64_t i = whole; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

int32_t unbug_squares(const struct unbug_tensor *tensor, double *squares) {
    struct walk walk;
    const void *block;
    int64_t n;
    double sum = 0;
    if (!walk_supports(tensor))
        return -1;
    const uint64_t modes = modes_enter();
    walk_begin(&walk, in_use(), tensor);
    while ((n = walk_next(&walk, &block)))
        sum += walk_is_wide(tensor) ? squares64(walk.isa, block, n) : squares32(walk.isa, block, n);
    modes_leave(modes);
    *squares = sum;
    return 0;
}

int32_t unbug_difference(const struct unbug_tensor *after, const void *before, double *statistics,
                         double *squares) {
    const struct unbug_tensor other = {.data = before, .elements = after->elements, .type = after->type};
    struct summary summary;
    struct walk now, then;
    const void *new, *old;
    union {
        float single[BLOCK];
        double wide[BLOCK];
    } gap;
    int64_t n;
    if (!walk_supports(after) || after->dimensions || !has_exponents(after))
        return -1;
    const struct passes *isa = in_use();
    const uint64_t modes = modes_enter();
    summary_begin(&summary, isa, NULL, NULL);
    walk_begin(&now, isa, after);
    walk_begin(&then, isa, &other);
    *squares = 0;
    while ((n = walk_next(&now, &new)) && walk_next(&then, &old))
        if (walk_is_wide(after)) {
            isa->subtract64(new, old, n, gap.wide);
            *squares += squares64(isa, old, n);
            summary_add64(&summary, gap.wide, n);
        } else {
            isa->subtract32(new, old, n, gap.single);
            *squares += squares32(isa, old, n);
            summary_add32(&summary, gap.single, n);
        }
    summary_end(&summary, after->elements, statistics);
    modes_leave(modes);
    return 0;
}

/* The C interface of unbug's kernel: statistics and exponent counts of a tensor, in one pass over it.
 *
 * No other header is needed, neither Python's nor torch's. Nothing here allocates, locks, or keeps anything
 * between calls but the choice of the instruction set; every function may be called from any number of
 * threads.
 */
#ifndef UNBUG_KERNEL_H
#define UNBUG_KERNEL_H

#include <stdint.h>

#if defined(_WIN32)
#define UNBUG_API __declspec(dllexport)
#else
#define UNBUG_API __attribute__((visibility("default")))
#endif

/* Raised whenever a signature or the meaning of a number changes; the loader asks for exactly this one. */
#define UNBUG_ABI 1

enum unbug_type {
    UNBUG_F32,
    UNBUG_F64,
    UNBUG_F16,
    UNBUG_BF16,
    UNBUG_U8,
    UNBUG_I8,
    UNBUG_I16,
    UNBUG_I32,
    UNBUG_I64,
    UNBUG_BOOL,
    UNBUG_TYPES
};

#define UNBUG_STATISTICS 9  /* count, mean, m2, min, max, zeros, nans, infs, saturated */
#define UNBUG_BINS 2048     /* exponents of double; float32 and narrower types use the first 256 */
#define UNBUG_PACKED 20600  /* bytes that any packed histogram fits into */
#define UNBUG_DIMENSIONS 16 /* that a strided tensor may have */

/* Where a tensor lies. `dimensions` 0: `elements` side by side; else sizes and strides in elements. */
struct unbug_tensor {
    const void *data;
    int64_t elements;
    int32_t type;
    int32_t dimensions;
    const int64_t *sizes, *strides;
};

UNBUG_API int32_t unbug_abi(void);

/* The instruction set in use, or after choosing another by name; NULL where that one is not to be had. */
UNBUG_API const char *unbug_isa(void);
UNBUG_API const char *unbug_choose(const char *name);

/* Statistics of a tensor. `limits`: two numbers, at or beyond which an element is saturated, or NULL.
 * `bins`: room for UNBUG_BINS counts of exponents (bin 0: zero and subnormal; the last of the type: NaN and
 * infinite), or NULL. Returns 0, or -1 where the type or the shape is not supported. */
UNBUG_API int32_t unbug_summary(const struct unbug_tensor *tensor, const double *limits, double *statistics,
                                uint64_t *bins);

/* The same with the counts packed as `numerics.encode_histogram` does. Returns their bytes, or -1. */
UNBUG_API int32_t unbug_packed(const struct unbug_tensor *tensor, const double *limits, double *statistics,
                               uint8_t *packed);

/* Statistics of `after` - `before`, both of one floating type and side by side, and the sum of squares of
 * `before`. Returns 0 or -1. */
UNBUG_API int32_t unbug_difference(const struct unbug_tensor *after, const void *before, double *statistics,
                                   double *squares);

/* The sum of squares in double. Returns 0 or -1. */
UNBUG_API int32_t unbug_squares(const struct unbug_tensor *tensor, double *squares);

/* Statistics of many tensors, the elements of each side by side: `statistics` has room for UNBUG_STATISTICS
 * numbers a tensor. Returns how many were supported; the others' statistics are NaN. */
UNBUG_API int64_t unbug_summaries(int64_t count, const void *const *data, const int64_t *elements,
                                  const int32_t *types, double *statistics);

#endif

/* The passes over one block, written once against a handful of vector operations and compiled for each
 * instruction set: the includer defines ISA(name) and what lanes_*.h list. No guard: it is included again.
 *
 * A block has at most BLOCK elements and stays in the first-level cache, so that each quantity can have a
 * simple loop of its own. Where n must be a multiple of GRANULE the caller has padded.
 */

/* Sums of d = x - shift and d^2 in double, smallest and largest element, whether one is zero; n in GRANULEs.
 * Where an element is NaN or infinite `squares` is not finite, and the rest means nothing. */
static void ISA(moments32)(const float *x, int64_t n, double shift, struct moments *out) {
    const vd k = vd_all(shift);
    vd s0 = vd_all(0), s1 = s0, s2 = s0, s3 = s0, q0 = s0, q1 = s0, q2 = s0, q3 = s0;
    vf low = vf_load(x), high = low;
    vu small = vu_magnitude(low);
    for (int64_t i = 0; i < n; i += 2 * VF) {
        const vf a = vf_load(x + i), b = vf_load(x + i + VF);
        /* The next block is fetched meanwhile, one half of its lines here, the other with the exponents. */
        for (int line = 0; line < 2 * VF; line += 32)
            __builtin_prefetch(x + i + BLOCK + line);
        low = vf_min(low, vf_min(a, b));
        high = vf_max(high, vf_max(a, b));
        small = vu_min(small, vu_min(vu_magnitude(a), vu_magnitude(b)));
        const vd d0 = vd_sub(vd_low(a), k), d1 = vd_sub(vd_high(a), k);
        const vd d2 = vd_sub(vd_low(b), k), d3 = vd_sub(vd_high(b), k);
        s0 = vd_add(s0, d0), s1 = vd_add(s1, d1), s2 = vd_add(s2, d2), s3 = vd_add(s3, d3);
        q0 = vd_fma(d0, d0, q0), q1 = vd_fma(d1, d1, q1), q2 = vd_fma(d2, d2, q2), q3 = vd_fma(d3, d3, q3);
    }
    out->sum = vd_sum(vd_add(vd_add(s0, s1), vd_add(s2, s3)));
    out->squares = vd_sum(vd_add(vd_add(q0, q1), vd_add(q2, q3)));
    float lows[VF], highs[VF];
    uint32_t smalls[VF];
    vf_store(lows, low), vf_store(highs, high), vu_store(smalls, small);
    for (int i = 1; i < VF; i++) {
        lows[0] = lows[i] < lows[0] ? lows[i] : lows[0];
        highs[0] = highs[i] > highs[0] ? highs[i] : highs[0];
        smalls[0] = smalls[i] < smalls[0] ? smalls[i] : smalls[0];
    }
    out->low = lows[0], out->high = highs[0];
    out->any_zero = smalls[0] == 0;
}

static void ISA(moments64)(const double *x, int64_t n, double shift, struct moments *out) {
    const vd k = vd_all(shift);
    vd s0 = vd_all(0), s1 = s0, s2 = s0, s3 = s0, q0 = s0, q1 = s0, q2 = s0, q3 = s0;
    vd low = vd_load(x), high = low, small = vd_magnitude(low);
    for (int64_t i = 0; i < n; i += 4 * VD) {
        const vd a = vd_load(x + i), b = vd_load(x + i + VD);
        const vd c = vd_load(x + i + 2 * VD), e = vd_load(x + i + 3 * VD);
        low = vd_min(low, vd_min(vd_min(a, b), vd_min(c, e)));
        high = vd_max(high, vd_max(vd_max(a, b), vd_max(c, e)));
        small = vd_min(small, vd_min(vd_min(vd_magnitude(a), vd_magnitude(b)),
                                     vd_min(vd_magnitude(c), vd_magnitude(e))));
        const vd d0 = vd_sub(a, k), d1 = vd_sub(b, k), d2 = vd_sub(c, k), d3 = vd_sub(e, k);
        s0 = vd_add(s0, d0), s1 = vd_add(s1, d1), s2 = vd_add(s2, d2), s3 = vd_add(s3, d3);
        q0 = vd_fma(d0, d0, q0), q1 = vd_fma(d1, d1, q1), q2 = vd_fma(d2, d2, q2), q3 = vd_fma(d3, d3, q3);
    }
    out->sum = vd_sum(vd_add(vd_add(s0, s1), vd_add(s2, s3)));
    out->squares = vd_sum(vd_add(vd_add(q0, q1), vd_add(q2, q3)));
    double lows[VD], highs[VD], smalls[VD];
    vd_store(lows, low), vd_store(highs, high), vd_store(smalls, small);
    for (int i = 1; i < VD; i++) {
        lows[0] = lows[i] < lows[0] ? lows[i] : lows[0];
        highs[0] = highs[i] > highs[0] ? highs[i] : highs[0];
        smalls[0] = smalls[i] < smalls[0] ? smalls[i] : smalls[0];
    }
    out->low = lows[0], out->high = highs[0];
    out->any_zero = smalls[0] == 0;
}

/* Sum of squares in double; n in GRANULEs. */
static double ISA(squares32)(const float *x, int64_t n) {
    vd q0 = vd_all(0), q1 = q0, q2 = q0, q3 = q0;
    for (int64_t i = 0; i < n; i += 2 * VF) {
        const vf a = vf_load(x + i), b = vf_load(x + i + VF);
        const vd d0 = vd_low(a), d1 = vd_high(a), d2 = vd_low(b), d3 = vd_high(b);
        q0 = vd_fma(d0, d0, q0), q1 = vd_fma(d1, d1, q1), q2 = vd_fma(d2, d2, q2), q3 = vd_fma(d3, d3, q3);
    }
    return vd_sum(vd_add(vd_add(q0, q1), vd_add(q2, q3)));
}

static double ISA(squares64)(const double *x, int64_t n) {
    vd q0 = vd_all(0), q1 = q0, q2 = q0, q3 = q0;
    for (int64_t i = 0; i < n; i += 4 * VD) {
        const vd a = vd_load(x + i), b = vd_load(x + i + VD);
        const vd c = vd_load(x + i + 2 * VD), e = vd_load(x + i + 3 * VD);
        q0 = vd_fma(a, a, q0), q1 = vd_fma(b, b, q1), q2 = vd_fma(c, c, q2), q3 = vd_fma(e, e, q3);
    }
    return vd_sum(vd_add(vd_add(q0, q1), vd_add(q2, q3)));
}

/* The exponent of each element as a byte, in any order within a GRANULE: a histogram does not mind. */
static void ISA(exponents32)(const float *x, int64_t n, uint8_t *to) {
#ifdef NO_WINDOW
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        to[i] = (uint8_t)(bits >> 23);
    }
#else
    for (int64_t i = 0; i < n; i += VB) {
        for (int line = 16; line < VB; line += 32)
            __builtin_prefetch(x + i + BLOCK + line);
        vb_store(to + i, vb_exponents(x + i));
    }
#endif
}

/* The same of double, less `base`; byte 0 for exponent 0. Returns how many do not fit, whose bytes mean
 * nothing. */
static int64_t ISA(exponents64)(const double *x, int64_t n, int base, uint8_t *to) {
    int64_t outside = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, 8);
        const uint64_t exponent = bits >> 52 & 2047;
        const uint64_t gap = exponent ? exponent - (uint64_t)base : 0;
        outside += (exponent != 0) & ((gap == 0) | (gap > 255));
        to[i] = (uint8_t)gap;
    }
    return outside;
}

#ifndef NO_WINDOW
/* Count the bytes `first`..`first` + WINDOW - 1 by comparing; n in GRANULEs. */
static void ISA(window)(const uint8_t *bytes, int64_t n, int first, uint64_t *counts) {
    const vb one = vb_all(1);
    for (int64_t start = 0; start < n; start += 64 * VB) {
        const uint8_t *at = bytes + start;
        const int64_t size = n - start < 64 * VB ? n - start : 64 * VB;
        for (int part = 0; part < WINDOW; part += PART) {
            vb sums[PART];
            for (int j = 0; j < PART; j++)
                sums[j] = vb_all(0);
            for (int64_t i = 0; i < size; i += VB) {
                const vb e = vb_load(at + i);
                for (int j = 0; j < PART; j++)
                    sums[j] = vb_count(sums[j], e, vb_all((uint8_t)(first + part + j)), one);
            }
            for (int j = 0; j < PART; j++)
                counts[first + part + j] += vb_sum(sums[j]);
        }
    }
}

/* Count the bytes that are none of `first`..`first` + `width` - 1, the zeros among them together and the
 * others one by one; n in GRANULEs. Returns how many others there were. */
static int64_t ISA(strays)(const uint8_t *bytes, int64_t n, int first, int width, uint64_t *counts) {
    const vb low = vb_all((uint8_t)first), size = vb_all((uint8_t)width);
    uint64_t zeros = 0, others = 0;
    for (int64_t i = 0; i < n; i += VB) {
        const vb e = vb_load(bytes + i);
        uint64_t outside = vb_outside(e, low, size);
        if (outside) {
            const uint64_t zero = outside & vb_zeros(e);
            zeros += (uint64_t)__builtin_popcountll(zero) / BITS;
            outside &= ~zero;
            others += (uint64_t)__builtin_popcountll(outside) / BITS;
            while (outside) {
                counts[bytes[i + __builtin_ctzll(outside) / BITS]]++;
                for (int bit = 0; bit < BITS; bit++)
                    outside &= outside - 1;
            }
        }
    }
    counts[0] += zeros;
    return (int64_t)others;
}
#endif

/* Half precision to single, exactly. */
static void ISA(widen_bf16)(const uint16_t *from, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(to + i, &bits, 4);
    }
}

static void ISA(subtract32)(const float *a, const float *b, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i++)
        to[i] = a[i] - b[i];
}

static void ISA(subtract64)(const double *a, const double *b, int64_t n, double *to) {
    for (int64_t i = 0; i < n; i++)
        to[i] = a[i] - b[i];
}

/* Loops that the compiler makes vectors of. */
static int64_t ISA(zeros32)(const float *x, int64_t n) {
    int32_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        count += (bits << 1) == 0;
    }
    return count;
}

static int64_t ISA(zeros64)(const double *x, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, 8);
        count += (bits << 1) == 0;
    }
    return count;
}

static int64_t ISA(outside32)(const float *x, int64_t n, float low, float high) {
    int32_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += (x[i] <= low) | (x[i] >= high);
    return count;
}

static int64_t ISA(outside64)(const double *x, int64_t n, double low, double high) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += (x[i] <= low) | (x[i] >= high);
    return count;
}

/* Replace what is not finite by `kept`; count NaN and infinities. */
static void ISA(replace32)(const float *x, int64_t n, float kept, float *to, int64_t *nans, int64_t *infs) {
    int32_t nan = 0, inf = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7fffffffu;
        nan += bits > 0x7f800000u;
        inf += bits == 0x7f800000u;
        to[i] = bits < 0x7f800000u ? x[i] : kept;
    }
    *nans += nan, *infs += inf;
}

static void ISA(replace64)(const double *x, int64_t n, double kept, double *to, int64_t *nans,
                           int64_t *infs) {
    const uint64_t top = 0x7ff0000000000000u;
    int64_t nan = 0, inf = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, 8);
        bits &= 0x7fffffffffffffffu;
        nan += bits > top;
        inf += bits == top;
        to[i] = bits < top ? x[i] : kept;
    }
    *nans += nan, *infs += inf;
}

static const struct passes ISA(passes) = {
    .name = ISA_NAME,
    .moments32 = ISA(moments32),
    .moments64 = ISA(moments64),
    .squares32 = ISA(squares32),
    .squares64 = ISA(squares64),
    .exponents32 = ISA(exponents32),
    .exponents64 = ISA(exponents64),
#ifndef NO_WINDOW
    .window = ISA(window),
    .strays = ISA(strays),
#endif
#ifdef HAS_PLANES
    .planes_add = ISA(planes_add),
    .planes_flush = ISA(planes_flush),
#endif
    .widen_f16 = ISA(widen_f16),
    .widen_bf16 = ISA(widen_bf16),
    .subtract32 = ISA(subtract32),
    .subtract64 = ISA(subtract64),
    .zeros32 = ISA(zeros32),
    .zeros64 = ISA(zeros64),
    .outside32 = ISA(outside32),
    .outside64 = ISA(outside64),
    .replace32 = ISA(replace32),
    .replace64 = ISA(replace64),
};

#include "lanes_undo.h"

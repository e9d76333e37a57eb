/* Counting exponents: a byte for each element, then bytes are counted.
 *
 * Two ways, each slow where the other is fast. Comparing with WINDOW neighbouring exponents costs the same
 * for all bytes inside the window, and much for one outside it; counting in tables costs the same for every
 * byte. What has been counted so far tells which of them suits the next block.
 */
#include "exponents.h"

#include <math.h>
#include <string.h>

enum {
    FEW = 512,  /* elements: below, neither tables nor a window pay */
    RETRY = 16, /* blocks counted in tables before a window is tried again */
    STRAY = 64, /* one of this many bytes may lie outside the window */
    ROOM = 32,  /* exponents of double above those of the first block that still have a byte */
};

static void count_in_tables(struct summary *to, const uint8_t *bytes, int64_t n) {
    if (!to->tabled) {
        memset(to->tables, 0, sizeof to->tables);
        to->tabled = 1;
    }
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight;
        memcpy(&eight, bytes + i, 8);
        for (int j = 0; j < TABLES; j++)
            to->tables[j][eight >> (8 * j) & 255]++;
    }
    for (; i < n; i++)
        to->tables[0][bytes[i]]++;
}

static void flush_planes(struct summary *to) {
    for (int i = 0; i < to->planed; i++)
        to->isa->planes_flush(&to->planes[i], to->first + i * WINDOW, to->bytes);
    to->planed = 0;
}

static void flush(struct summary *to) {
    flush_planes(to);
    if (!to->tabled)
        return;
    for (int i = 0; i < 256; i++)
        for (int j = 0; j < TABLES; j++)
            to->bytes[i] += to->tables[j][i];
    to->tabled = 0;
}

void exponents_flush(struct summary *to) {
    flush(to);
    if (to->bytes == to->bins)
        return;
    to->bins[0] += to->bytes[0];
    for (int i = 1; i < 256; i++)
        if (to->bytes[i])
            to->bins[to->base + i] += to->bytes[i];
    memset(to->narrow, 0, sizeof to->narrow);
}

/* Where `width` exponents hold most of what was counted; -1 if too much would lie outside of the best. */
static int best_window(const uint64_t *counts, int width) {
    uint64_t inside = 0, most = 0, all = 0;
    int best = 1;
    for (int i = 1; i < 256; i++) {
        all += counts[i], inside += counts[i];
        if (i > width)
            inside -= counts[i - width];
        if (inside > most)
            most = inside, best = i;
    }
    const int first = best - width + 1;
    return most < all - all / STRAY ? -1 : first < 1 ? 1 : first;
}

/* Begin to use as few windows as suit, or tables for a while. */
static void choose(struct summary *to) {
    flush(to);
    const int most = to->isa->planes_add ? MOST : 1;
    for (to->windows = 1; to->windows <= most; to->windows++) {
        to->first = best_window(to->bytes, to->windows * WINDOW);
        if (to->first >= 0)
            return;
    }
    to->rest = RETRY;
}

/* Count by windows; those bytes that do not fill a step, one by one. */
static void count_in_windows(struct summary *to, const uint8_t *bytes, int64_t n) {
    const int64_t whole = n - n % GRANULE, planed = to->isa->planes_add ? n - n % PLANES : 0;
    if (planed && !to->planed) {
        memset(to->planes, 0, (size_t)to->windows * sizeof *to->planes);
        to->planed = to->windows;
    }
    for (int i = 0; i < to->windows; i++) {
        const int first = to->first + i * WINDOW;
        if (planed)
            to->isa->planes_add(&to->planes[i], bytes, planed, first, to->bytes);
        to->isa->window(bytes + planed, whole - planed, first, to->bytes);
    }
    const int64_t strays = to->isa->strays(bytes, whole, to->first, to->windows * WINDOW, to->bytes);
    for (int64_t i = whole; i < n; i++)
        to->bytes[bytes[i]]++;
    if (strays > n / STRAY)
        choose(to);
}

static void count(struct summary *to, const uint8_t *bytes, int64_t n) {
    if (n < FEW) {
        for (int64_t i = 0; i < n; i++)
            to->bytes[bytes[i]]++;
        return;
    }
    if (to->first < 0 && to->isa->window && to->rest-- == 0)
        choose(to);
    if (to->first < 0)
        count_in_tables(to, bytes, n);
    else
        count_in_windows(to, bytes, n);
}

void exponents_add32(struct summary *to, const float *x, int64_t n, double magnitude) {
    (void)magnitude;
    uint8_t bytes[BLOCK];
    const int64_t whole = n - n % GRANULE;
    to->isa->exponents32(x, whole, bytes);
    for (int64_t i = whole; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        bytes[i] = (uint8_t)(bits >> 23);
    }
    count(to, bytes, n);
}

void exponents_add64(struct summary *to, const double *x, int64_t n, double magnitude) {
    uint8_t bytes[BLOCK];
    if (to->bytes == to->bins) {
        const int top = isfinite(magnitude) && magnitude > 0 ? ilogb(magnitude) + 1023 : 1023;
        to->bytes = to->narrow;
        to->base = top + ROOM < 256 ? 0 : top + ROOM > 2046 ? 2046 - 255 : top + ROOM - 255;
    }
    if (to->isa->exponents64(x, n, to->base, bytes) == 0) {
        count(to, bytes, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, 8);
        to->bins[bits >> 52 & 2047]++;
    }
}

static uint8_t *put(uint8_t *to, uint64_t number) {
    for (; number > 127; number >>= 7)
        *to++ = (uint8_t)(number | 128);
    *to++ = (uint8_t)number;
    return to;
}

int32_t exponents_pack(const uint64_t *bins, int wide, int64_t zeros, int64_t looked_at, uint8_t *packed) {
    const int top = wide ? 2047 : 255;
    int begin = 0, end = top;
    const uint64_t subnormal = bins[0] - (uint64_t)zeros;
    while (end > 0 && (end > 1 ? bins[end - 1] : subnormal) == 0)
        end--;
    while (begin < end && (begin ? bins[begin] : subnormal) == 0)
        begin++;
    const int64_t first = end ? begin - top / 2 : 0;
    uint8_t *at = packed;
    *at++ = 1; /* version of the layout */
    at = put(at, (uint64_t)(first < 0 ? -2 * first - 1 : 2 * first));
    at = put(at, (uint64_t)zeros);
    at = put(at, bins[top]);
    at = put(at, (uint64_t)looked_at);
    at = put(at, (uint64_t)(end - begin));
    for (int i = begin; i < end; i++)
        at = put(at, i ? bins[i] : subnormal);
    return (int32_t)(at - packed);
}

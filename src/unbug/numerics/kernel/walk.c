/* From a tensor's memory to blocks of float or double; as it lies where it can be used as it lies. */
#include "walk.h"

#include <string.h>

static const int WIDTH[UNBUG_TYPES] = {4, 8, 2, 2, 1, 1, 2, 4, 8, 1};

int walk_supports(const struct unbug_tensor *tensor) {
    if (tensor->type < 0 || tensor->type >= UNBUG_TYPES || tensor->dimensions < 0 ||
        tensor->dimensions > UNBUG_DIMENSIONS || tensor->elements < 0)
        return 0;
    int64_t elements = 1;
    for (int d = 0; d < tensor->dimensions; d++)
        elements *= tensor->sizes[d];
    return tensor->dimensions == 0 || elements == tensor->elements;
}

int walk_is_wide(const struct unbug_tensor *tensor) {
    return tensor->type != UNBUG_F32 && tensor->type != UNBUG_F16 && tensor->type != UNBUG_BF16;
}

void walk_begin(struct walk *walk, const struct passes *isa, const struct unbug_tensor *tensor) {
    walk->isa = isa, walk->tensor = tensor, walk->done = 0;
    memset(walk->at, 0, sizeof walk->at);
}

#define EACH(kind)                                                                                           \
    for (int64_t i = 0; i < size; i++) {                                                                     \
        memcpy(to + i * sizeof(kind), from + i * stride, sizeof(kind));                                      \
    }                                                                                                        \
    break

/* Copy n elements side by side from where the walk stands. */
static void gather(struct walk *walk, int64_t n, uint8_t *to) {
    const struct unbug_tensor *tensor = walk->tensor;
    const int last = tensor->dimensions - 1, width = WIDTH[tensor->type];
    const int64_t stride = tensor->strides[last] * width;
    while (n > 0) {
        const uint8_t *from = tensor->data;
        for (int d = 0; d <= last; d++)
            from += walk->at[d] * tensor->strides[d] * width;
        const int64_t left = tensor->sizes[last] - walk->at[last], size = left < n ? left : n;
        switch (width) {
        case 1:
            EACH(uint8_t);
        case 2:
            EACH(uint16_t);
        case 4:
            EACH(uint32_t);
        default:
            EACH(uint64_t);
        }
        to += size * width, n -= size, walk->at[last] += size;
        for (int d = last; d > 0 && walk->at[d] == tensor->sizes[d]; d--)
            walk->at[d] = 0, walk->at[d - 1]++;
    }
}

/* Half precision in granules; what is left of the last one is padded, nothing beyond the tensor is read. */
static void widen(const struct walk *walk, const uint16_t *from, int64_t n, float *to) {
    void (*const pass)(const uint16_t *, int64_t, float *) =
        walk->tensor->type == UNBUG_F16 ? walk->isa->widen_f16 : walk->isa->widen_bf16;
    const int64_t whole = n - n % GRANULE;
    pass(from, whole, to);
    if (whole < n) {
        uint16_t padded[GRANULE] = {0};
        memcpy(padded, from + whole, (size_t)(n - whole) * 2);
        pass(padded, GRANULE, to + whole);
    }
}

#define CONVERT(kind)                                                                                        \
    for (int64_t i = 0; i < n; i++)                                                                          \
        to[i] = (double)((const kind *)from)[i];                                                             \
    return

static void integers(int32_t type, const void *from, int64_t n, double *to) {
    switch (type) {
    case UNBUG_I8:
        CONVERT(int8_t);
    case UNBUG_I16:
        CONVERT(int16_t);
    case UNBUG_I32:
        CONVERT(int32_t);
    case UNBUG_I64:
        CONVERT(int64_t);
    default:
        CONVERT(uint8_t);
    }
}

int64_t walk_next(struct walk *walk, const void **block) {
    const struct unbug_tensor *tensor = walk->tensor;
    const int64_t left = tensor->elements - walk->done, n = left < BLOCK ? left : BLOCK;
    if (n == 0)
        return 0;
    const int width = WIDTH[tensor->type];
    const uint8_t *from = (const uint8_t *)tensor->data + walk->done * width;
    if (tensor->dimensions) {
        gather(walk, n, walk->gathered.bytes);
        from = walk->gathered.bytes;
    } else if ((uintptr_t)from % (uintptr_t)width) {
        memcpy(walk->gathered.bytes, from, (size_t)(n * width));
        from = walk->gathered.bytes;
    }
    walk->done += n;
    *block = from;
    if (tensor->type == UNBUG_F16 || tensor->type == UNBUG_BF16) {
        widen(walk, (const uint16_t *)(const void *)from, n, walk->widened.single);
        *block = walk->widened.single;
    } else if (tensor->type != UNBUG_F32 && tensor->type != UNBUG_F64) {
        integers(tensor->type, from, n, walk->widened.wide);
        *block = walk->widened.wide;
    }
    return n;
}

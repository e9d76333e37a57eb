/* The loops of block.h, once for each instruction set, and which of them this processor can run. */
#include "passes.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ISA(name) name##_portable
#define ISA_NAME "portable"
#include "lanes_portable.h"
#include "block.h"

#if defined(__aarch64__)
#define ISA(name) name##_neon
#define ISA_NAME "neon"
#include "lanes_neon.h"
#include "block.h"
#endif

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#define ISA(name) name##_avx2
#define ISA_NAME "avx2"
#include "lanes_avx2.h"
#include "block.h"
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))),    \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,prefer-vector-width=512")
#endif
#define ISA(name) name##_avx512
#define ISA_NAME "avx512"
#include "planes_avx512.h"
#include "lanes_avx512.h"
#include "block.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const struct passes *passes_named(const char *name) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!strcmp(name, "avx512"))
        return has_avx512() ? &passes_avx512 : NULL;
    if (!strcmp(name, "avx2"))
        return has_avx2() ? &passes_avx2 : NULL;
#elif defined(__aarch64__)
    if (!strcmp(name, "neon"))
        return &passes_neon;
#endif
    return !strcmp(name, "portable") ? &passes_portable : NULL;
}

const struct passes *passes_best(void) {
    static const char *const order[] = {"avx512", "avx2", "neon"};
    for (int i = 0; i < 3; i++) {
        const struct passes *found = passes_named(order[i]);
        if (found)
            return found;
    }
    return &passes_portable;
}

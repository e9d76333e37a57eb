/* The thread's floating-point modes: the kernel computes in the default ones, whatever the program has set
 * (flushing subnormals to zero, trapping, rounding), and leaves modes and flags as they were. */
#ifndef UNBUG_MODES_H
#define UNBUG_MODES_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
static inline uint64_t modes_enter(void) {
    const uint32_t before = _mm_getcsr();
    _mm_setcsr(0x1f80);
    return before;
}
static inline void modes_leave(uint64_t before) {
    _mm_setcsr((uint32_t)before);
}
#elif defined(__aarch64__)
static inline uint64_t modes_enter(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return before;
}
static inline void modes_leave(uint64_t before) {
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
}
#else
static inline uint64_t modes_enter(void) {
    return 0;
}
static inline void modes_leave(uint64_t before) {
    (void)before;
}
#endif

#endif

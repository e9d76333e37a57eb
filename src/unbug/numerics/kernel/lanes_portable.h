/* Vector operations by the vector types of GCC and Clang, 16 bytes at a time, for any processor. */
#define VF 4
#define VD 2
#define VB 16
#define NO_WINDOW /* bytes are counted in tables */

typedef float ISA(vf) __attribute__((vector_size(16)));
typedef double ISA(vd) __attribute__((vector_size(16)));
typedef uint32_t ISA(vu) __attribute__((vector_size(16)));
typedef int64_t ISA(vm) __attribute__((vector_size(16)));
typedef float ISA(half) __attribute__((vector_size(8)));
#define vf ISA(vf)
#define vd ISA(vd)
#define vu ISA(vu)

static inline vf ISA(vf_load)(const float *p) {
    vf a;
    memcpy(&a, p, 16);
    return a;
}
static inline vd ISA(vd_load)(const double *p) {
    vd a;
    memcpy(&a, p, 16);
    return a;
}
static inline vu ISA(vu_pick)(vu mask, vu yes, vu no) {
    return (yes & mask) | (no & ~mask);
}
static inline vd ISA(vd_pick)(ISA(vm) mask, vd yes, vd no) {
    return (vd)(((ISA(vm))yes & mask) | ((ISA(vm))no & ~mask));
}
static inline vd ISA(vd_widen)(float a, float b) {
    return (vd){a, b};
}
#define vf_load(p) ISA(vf_load)(p)
#define vf_store(p, a) memcpy(p, &(a), 16)
#define vf_min(a, b) ISA(vf_min)(a, b)
#define vf_max(a, b) ISA(vf_max)(a, b)
static inline vf ISA(vf_min)(vf a, vf b) {
    return (vf)ISA(vu_pick)((vu)(a < b), (vu)a, (vu)b);
}
static inline vf ISA(vf_max)(vf a, vf b) {
    return (vf)ISA(vu_pick)((vu)(a > b), (vu)a, (vu)b);
}
static inline vu ISA(vu_min)(vu a, vu b) {
    return ISA(vu_pick)((vu)(a < b), a, b);
}
static inline vd ISA(vd_min)(vd a, vd b) {
    return ISA(vd_pick)((ISA(vm))(a < b), a, b);
}
static inline vd ISA(vd_max)(vd a, vd b) {
    return ISA(vd_pick)((ISA(vm))(a > b), a, b);
}
#define vu_magnitude(a) ((vu)(a) & (vu){0x7fffffffu, 0x7fffffffu, 0x7fffffffu, 0x7fffffffu})
#define vu_min(a, b) ISA(vu_min)(a, b)
#define vu_store(p, a) memcpy(p, &(a), 16)

#define vd_all(x) ((vd){x, x})
#define vd_load(p) ISA(vd_load)(p)
#define vd_store(p, a) memcpy(p, &(a), 16)
#define vd_low(a) ISA(vd_widen)((a)[0], (a)[1])
#define vd_high(a) ISA(vd_widen)((a)[2], (a)[3])
#define vd_add(a, b) ((a) + (b))
#define vd_sub(a, b) ((a) - (b))
#define vd_fma(a, b, c) ((a) * (b) + (c))
#define vd_min(a, b) ISA(vd_min)(a, b)
#define vd_max(a, b) ISA(vd_max)(a, b)
#define vd_magnitude(a) ((vd)((ISA(vm))(a) & (ISA(vm)){INT64_MAX, INT64_MAX}))
static inline double ISA(sum)(vd a) {
    return a[0] + a[1];
}
#define vd_sum(a) ISA(sum)(a)

/* IEEE half to single by its fields; the compiler makes vectors of the loop where it can. */
static void ISA(widen_f16)(const uint16_t *from, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i++) {
        const uint32_t sign = (uint32_t)(from[i] & 0x8000u) << 16, rest = (uint32_t)(from[i] & 0x7fffu);
        uint32_t bits = (rest << 13) + (rest >= 0x7c00u ? 0x70000000u : 0x38000000u);
        const float tiny = (float)rest * 0x1p-24f; /* a subnormal is a count of 2^-24 */
        uint32_t small;
        memcpy(&small, &tiny, 4);
        bits = (rest < 0x0400u ? small : bits) | sign;
        memcpy(to + i, &bits, 4);
    }
}

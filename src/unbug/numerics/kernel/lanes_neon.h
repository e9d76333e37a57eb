/* Vector operations by NEON on 64-bit ARM: 4 float, 2 double, 16 bytes at a time. */
#define VF 4
#define VD 2
#define VB 16
#define BITS 4 /* bits of a mask of bytes for each byte: NEON has no smaller mask */
#define PART 16

#define vf float32x4_t
#define vd float64x2_t
#define vu uint32x4_t
#define vb uint8x16_t

#define vf_load(p) vld1q_f32(p)
#define vf_store(p, a) vst1q_f32(p, a)
#define vf_min(a, b) vminq_f32(a, b)
#define vf_max(a, b) vmaxq_f32(a, b)
#define vu_magnitude(a) vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0x7fffffffu))
#define vu_min(a, b) vminq_u32(a, b)
#define vu_store(p, a) vst1q_u32(p, a)

#define vd_all(x) vdupq_n_f64(x)
#define vd_load(p) vld1q_f64(p)
#define vd_store(p, a) vst1q_f64(p, a)
#define vd_low(a) vcvt_f64_f32(vget_low_f32(a))
#define vd_high(a) vcvt_high_f64_f32(a)
#define vd_add(a, b) vaddq_f64(a, b)
#define vd_sub(a, b) vsubq_f64(a, b)
#define vd_fma(a, b, c) vfmaq_f64(c, a, b)
#define vd_min(a, b) vminq_f64(a, b)
#define vd_max(a, b) vmaxq_f64(a, b)
#define vd_magnitude(a) vabsq_f64(a)
#define vd_sum(a) vaddvq_f64(a)

#define vb_all(x) vdupq_n_u8(x)
#define vb_load(p) vld1q_u8(p)
#define vb_store(p, a) vst1q_u8(p, a)
#define vb_count(sum, e, wanted, one) ((void)(one), vsubq_u8(sum, vceqq_u8(e, wanted)))
#define vb_mask(a) vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(a), 4)), 0)
#define vb_outside(e, base, width) vb_mask(vcgeq_u8(vsubq_u8(e, base), width))
#define vb_zeros(e) vb_mask(vceqzq_u8(e))
#define vb_sum(a) (uint64_t)vaddlvq_u8(a)

/* Twice the bits puts the exponent into the top byte; picking every fourth byte brings them together. */
static inline uint8x16_t ISA(exponents)(const float *x) {
    const uint32x4_t a = vreinterpretq_u32_f32(vld1q_f32(x)), b = vreinterpretq_u32_f32(vld1q_f32(x + 4));
    const uint32x4_t c = vreinterpretq_u32_f32(vld1q_f32(x + 8)),
                     d = vreinterpretq_u32_f32(vld1q_f32(x + 12));
    const uint16x8_t low =
        vuzp2q_u16(vreinterpretq_u16_u32(vaddq_u32(a, a)), vreinterpretq_u16_u32(vaddq_u32(b, b)));
    const uint16x8_t high =
        vuzp2q_u16(vreinterpretq_u16_u32(vaddq_u32(c, c)), vreinterpretq_u16_u32(vaddq_u32(d, d)));
    return vuzp2q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
}
#define vb_exponents(x) ISA(exponents)(x)

static void ISA(widen_f16)(const uint16_t *from, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i += 4)
        vst1q_f32(to + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + i))));
}

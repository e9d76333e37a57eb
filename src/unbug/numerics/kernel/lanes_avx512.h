/* Vector operations by AVX-512 (F, BW, VL, DQ): 16 float, 8 double, 64 bytes at a time. */
#define VF 16
#define VD 8
#define VB 64
#define BITS 1 /* bits of a mask of bytes for each byte */
#define PART 16
#define HAS_PLANES

typedef __m512 ISA(vf);
typedef __m512d ISA(vd);
typedef __m512i ISA(vu);
#define vf ISA(vf)
#define vd ISA(vd)
#define vu ISA(vu)
#define vb ISA(vu)

#define vf_load(p) _mm512_loadu_ps(p)
#define vf_store(p, a) _mm512_storeu_ps(p, a)
#define vf_min(a, b) _mm512_min_ps(a, b)
#define vf_max(a, b) _mm512_max_ps(a, b)
#define vu_magnitude(a) _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff))
#define vu_min(a, b) _mm512_min_epu32(a, b)
#define vu_store(p, a) _mm512_storeu_si512(p, a)

#define vd_all(x) _mm512_set1_pd(x)
#define vd_load(p) _mm512_loadu_pd(p)
#define vd_store(p, a) _mm512_storeu_pd(p, a)
#define vd_low(a) _mm512_cvtps_pd(_mm512_castps512_ps256(a))
#define vd_high(a) _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1))
#define vd_add(a, b) _mm512_add_pd(a, b)
#define vd_sub(a, b) _mm512_sub_pd(a, b)
#define vd_fma(a, b, c) _mm512_fmadd_pd(a, b, c)
#define vd_min(a, b) _mm512_min_pd(a, b)
#define vd_max(a, b) _mm512_max_pd(a, b)
#define vd_magnitude(a) _mm512_abs_pd(a)
#define vd_sum(a) _mm512_reduce_add_pd(a)

#define vb_all(x) _mm512_set1_epi8((char)(x))
#define vb_load(p) _mm512_loadu_si512(p)
#define vb_store(p, a) _mm512_storeu_si512(p, a)
#define vb_count(sum, e, wanted, one) _mm512_mask_add_epi8(sum, _mm512_cmpeq_epi8_mask(e, wanted), sum, one)
#define vb_outside(e, base, width) _mm512_cmpge_epu8_mask(_mm512_sub_epi8(e, base), width)
#define vb_zeros(e) _mm512_testn_epi8_mask(e, e)
#define vb_sum(a) (uint64_t)_mm512_reduce_add_epi64(_mm512_sad_epu8(a, _mm512_setzero_si512()))

/* Twice the bits puts the exponent into the top byte; three selections bring four of them together. */
static inline __m512i ISA(exponents)(const float *x) {
    const __m512i a = _mm512_loadu_si512(x), b = _mm512_loadu_si512(x + 16);
    const __m512i c = _mm512_loadu_si512(x + 32), d = _mm512_loadu_si512(x + 48);
    const __m512i first = _mm512_srli_epi32(_mm512_add_epi32(a, a), 24);
    const __m512i second = _mm512_srli_epi32(_mm512_add_epi32(b, b), 16);
    const __m512i third = _mm512_srli_epi32(_mm512_add_epi32(c, c), 8);
    const __m512i fourth = _mm512_add_epi32(d, d);
    const __m512i evens = _mm512_set1_epi32(0x000000ff), odds = _mm512_set1_epi32((int)0xff000000u);
    const __m512i below = _mm512_ternarylogic_epi32(evens, first, second, 0xca);
    const __m512i above = _mm512_ternarylogic_epi32(odds, fourth, third, 0xca);
    return _mm512_ternarylogic_epi32(_mm512_set1_epi32(0x0000ffff), below, above, 0xca);
}
#define vb_exponents(x) ISA(exponents)(x)

static void ISA(widen_f16)(const uint16_t *from, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(from + i))));
}

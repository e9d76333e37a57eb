/* Vector operations by AVX2, FMA and F16C: 8 float, 4 double, 32 bytes at a time. */
#define VF 8
#define VD 4
#define VB 32
#define BITS 1 /* bits of a mask of bytes for each byte */
#define PART 8

typedef __m256 ISA(vf);
typedef __m256d ISA(vd);
typedef __m256i ISA(vu);
#define vf ISA(vf)
#define vd ISA(vd)
#define vu ISA(vu)
#define vb ISA(vu)

#define vf_load(p) _mm256_loadu_ps(p)
#define vf_store(p, a) _mm256_storeu_ps(p, a)
#define vf_min(a, b) _mm256_min_ps(a, b)
#define vf_max(a, b) _mm256_max_ps(a, b)
#define vu_magnitude(a) _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffffff))
#define vu_min(a, b) _mm256_min_epu32(a, b)
#define vu_store(p, a) _mm256_storeu_si256((__m256i *)(p), a)

#define vd_all(x) _mm256_set1_pd(x)
#define vd_load(p) _mm256_loadu_pd(p)
#define vd_store(p, a) _mm256_storeu_pd(p, a)
#define vd_low(a) _mm256_cvtps_pd(_mm256_castps256_ps128(a))
#define vd_high(a) _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))
#define vd_add(a, b) _mm256_add_pd(a, b)
#define vd_sub(a, b) _mm256_sub_pd(a, b)
#define vd_fma(a, b, c) _mm256_fmadd_pd(a, b, c)
#define vd_min(a, b) _mm256_min_pd(a, b)
#define vd_max(a, b) _mm256_max_pd(a, b)
#define vd_magnitude(a) _mm256_andnot_pd(_mm256_set1_pd(-0.0), a)
static inline double ISA(sum)(__m256d a) {
    const __m128d half = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}
#define vd_sum(a) ISA(sum)(a)

#define vb_all(x) _mm256_set1_epi8((char)(x))
#define vb_load(p) _mm256_loadu_si256((const __m256i *)(p))
#define vb_store(p, a) _mm256_storeu_si256((__m256i *)(p), a)
#define vb_count(sum, e, wanted, one) ((void)(one), _mm256_sub_epi8(sum, _mm256_cmpeq_epi8(e, wanted)))
#define vb_mask(a) (uint64_t)(uint32_t)_mm256_movemask_epi8(a)
static inline uint64_t ISA(outside)(__m256i e, __m256i base, __m256i width) {
    const __m256i gap = _mm256_sub_epi8(e, base);
    return vb_mask(_mm256_cmpeq_epi8(_mm256_max_epu8(gap, width), gap));
}
#define vb_outside(e, base, width) ISA(outside)(e, base, width)
#define vb_zeros(e) vb_mask(_mm256_cmpeq_epi8(e, _mm256_setzero_si256()))
static inline uint64_t ISA(bytes)(__m256i a) {
    const __m256i quarters = _mm256_sad_epu8(a, _mm256_setzero_si256());
    const __m128i half =
        _mm_add_epi64(_mm256_castsi256_si128(quarters), _mm256_extracti128_si256(quarters, 1));
    return (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
}
#define vb_sum(a) ISA(bytes)(a)

/* Twice the bits puts the exponent into the top byte; three selections bring four of them together. */
static inline __m256i ISA(exponents)(const float *x) {
    const __m256i a = vb_load(x), b = vb_load(x + 8), c = vb_load(x + 16), d = vb_load(x + 24);
    const __m256i first = _mm256_srli_epi32(_mm256_add_epi32(a, a), 24);
    const __m256i second = _mm256_srli_epi32(_mm256_add_epi32(b, b), 16);
    const __m256i third = _mm256_srli_epi32(_mm256_add_epi32(c, c), 8);
    const __m256i fourth = _mm256_add_epi32(d, d);
    const __m256i odds = _mm256_set1_epi16((short)0xff00);
    const __m256i below = _mm256_blendv_epi8(first, second, odds);
    const __m256i above = _mm256_blendv_epi8(third, fourth, odds);
    return _mm256_blend_epi16(below, above, 0xaa);
}
#define vb_exponents(x) ISA(exponents)(x)

static void ISA(widen_f16)(const uint16_t *from, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i))));
}

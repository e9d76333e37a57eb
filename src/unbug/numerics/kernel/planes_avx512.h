/* Counting 16 neighbouring bytes by bit planes: a table look-up turns each byte into one bit of 16, and
 * carry-save adders count these bits for 512 bytes at a time, some two operations for each and each eight of
 * them.
 *
 * After Harley and Seal; see Mula, Kurz, Lemire 2018, "Faster population counts using AVX2 instructions", The
 * Computer Journal 61(1), and Klarqvist, Mula, Lemire 2021, "Efficient computation of positional population
 * counts using SIMD instructions", Concurrency and Computation 33(17).
 */

/* Full adder: the sum of three bits is *low + 2 *high. `low` may be one of the three. */
static inline void planes_adder(__m512i *high, __m512i *low, __m512i a, __m512i b, __m512i c) {
    *high = _mm512_ternarylogic_epi32(a, b, c, 0xe8);
    *low = _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

/* Eight counters of one, two, four, eight each; what they carry is given back. */
struct planes_eight {
    __m512i ones, twos, fours, eights;
};

static inline struct planes_eight planes_load(uint8_t (*from)[64]) {
    return (struct planes_eight){_mm512_loadu_si512(from[0]), _mm512_loadu_si512(from[1]),
                                 _mm512_loadu_si512(from[2]), _mm512_loadu_si512(from[3])};
}

static inline void planes_store(const struct planes_eight *from, uint8_t (*to)[64]) {
    _mm512_storeu_si512(to[0], from->ones), _mm512_storeu_si512(to[1], from->twos);
    _mm512_storeu_si512(to[2], from->fours), _mm512_storeu_si512(to[3], from->eights);
}

/* Four more: what twos carry. */
static inline __m512i planes_four(struct planes_eight *to, __m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i first, second, fours;
    planes_adder(&first, &to->ones, to->ones, a, b);
    planes_adder(&second, &to->ones, to->ones, c, d);
    planes_adder(&fours, &to->twos, to->twos, first, second);
    return fours;
}

static inline __m512i planes_sixteen(struct planes_eight *to, __m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i first, second, sixteens;
    planes_adder(&first, &to->fours, to->fours, a, b);
    planes_adder(&second, &to->fours, to->fours, c, d);
    planes_adder(&sixteens, &to->eights, to->eights, first, second);
    return sixteens;
}

static void planes_flush_avx512(struct planes *from, int first, uint64_t *counts) {
    const __m512i zero = _mm512_setzero_si512();
    for (int bit = 0; bit < 16; bit++) {
        __m512i sum = _mm512_loadu_si512(from->sums[bit]);
        uint64_t count = 16 * (uint64_t)_mm512_reduce_add_epi64(_mm512_sad_epu8(sum, zero));
        for (int power = 0; power < 4; power++) {
            const __m512i plane = _mm512_loadu_si512(from->plane[bit / 8][power]);
            const uint64_t set = _mm512_test_epi8_mask(plane, _mm512_set1_epi8((char)(1 << bit % 8)));
            count += (uint64_t)__builtin_popcountll(set) << power;
        }
        counts[first + bit] += count;
    }
    memset(from, 0, sizeof *from);
}

/* n is a multiple of PLANES. */
static void planes_add_avx512(struct planes *to, const uint8_t *bytes, int64_t n, int first,
                              uint64_t *counts) {
    const __m512i base = _mm512_set1_epi8((char)first), past = _mm512_set1_epi8(0x70),
                  one = _mm512_set1_epi8(1);
    const __m512i table_low = _mm512_broadcast_i32x4(_mm_set_epi64x(0, (int64_t)0x8040201008040201));
    const __m512i table_high = _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)0x8040201008040201, 0));
    struct planes_eight low = planes_load(to->plane[0]), high = planes_load(to->plane[1]);
    for (int64_t start = 0; start < n; start += PLANES) {
        __m512i low_fours[4], high_fours[4];
        for (int four = 0; four < 4; four++) {
            __m512i low_bits[4], high_bits[4];
            for (int i = 0; i < 4; i++) {
                const __m512i e = _mm512_loadu_si512(bytes + start + 256 * four + 64 * i);
                /* Outside of the window the top bit is set, and the look-up gives 0. */
                const __m512i at = _mm512_adds_epu8(_mm512_sub_epi8(e, base), past);
                low_bits[i] = _mm512_shuffle_epi8(table_low, at);
                high_bits[i] = _mm512_shuffle_epi8(table_high, at);
            }
            low_fours[four] = planes_four(&low, low_bits[0], low_bits[1], low_bits[2], low_bits[3]);
            high_fours[four] = planes_four(&high, high_bits[0], high_bits[1], high_bits[2], high_bits[3]);
        }
        const __m512i s = planes_sixteen(&low, low_fours[0], low_fours[1], low_fours[2], low_fours[3]);
        const __m512i t = planes_sixteen(&high, high_fours[0], high_fours[1], high_fours[2], high_fours[3]);
        for (int bit = 0; bit < 16; bit++) {
            const __m512i wanted = _mm512_set1_epi8((char)(1 << bit % 8));
            const __mmask64 set = _mm512_test_epi8_mask(bit < 8 ? s : t, wanted);
            const __m512i sum = _mm512_loadu_si512(to->sums[bit]);
            _mm512_storeu_si512(to->sums[bit], _mm512_mask_add_epi8(sum, set, sum, one));
        }
        if (++to->groups == 255) {
            planes_store(&low, to->plane[0]), planes_store(&high, to->plane[1]);
            planes_flush_avx512(to, first, counts);
            low = planes_load(to->plane[0]), high = planes_load(to->plane[1]);
        }
    }
    planes_store(&low, to->plane[0]), planes_store(&high, to->plane[1]);
}

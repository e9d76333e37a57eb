/* One block of REAL (BITS wide) added to a summary; included for float and for double. */
#define JOIN(name, bits) name##bits
#define TYPED(name, bits) JOIN(name, bits)
#define OF(name) TYPED(name, BITS)

/* The sums of a block of any length: what is left of the last granule is padded with the shift itself, which
 * adds nothing to them. The shift lies between the smallest and the largest element so far, so min and max
 * stand. */
static void OF(moments_of)(const struct summary *to, const REAL *x, int64_t n, REAL shift,
                           struct moments *out) {
    const int64_t whole = n - n % GRANULE;
    struct moments last;
    if (whole)
        to->isa->OF(moments)(x, whole, shift, out);
    if (whole == n)
        return;
    REAL padded[GRANULE];
    for (int i = 0; i < GRANULE; i++)
        padded[i] = whole + i < n ? x[whole + i] : shift;
    to->isa->OF(moments)(padded, GRANULE, shift, whole ? &last : out);
    if (whole) {
        out->sum += last.sum, out->squares += last.squares;
        out->low = last.low < out->low ? last.low : out->low;
        out->high = last.high > out->high ? last.high : out->high;
        out->any_zero |= last.any_zero;
    }
}

/* Squares of the block leave the range of double: the mean by parts of the elements, m2 if it can be had at
 * all. */
static void OF(far_apart)(const REAL *x, int64_t n, double *mean, double *m2) {
    *mean = *m2 = 0;
    for (int64_t i = 0; i < n; i++)
        *mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        *m2 += (x[i] - *mean) * (x[i] - *mean);
}

void OF(summary_add)(struct summary *to, const REAL *x, int64_t n) {
    REAL kept[BLOCK], shift = 0;
    const REAL *finite = x;
    int64_t nans = 0, infs = 0, some = 0;
    struct moments found;
    if (to->limits)
        to->saturated += to->isa->OF(outside)(x, n, (REAL)to->limits[0], (REAL)to->limits[1]);
    if (to->finite)
        shift = (REAL)clamped(to->mean, to->low, to->high);
    else {
        while (some < n && !isfinite(x[some]))
            some++;
        shift = some < n ? x[some] : 0;
    }
    OF(moments_of)(to, x, n, shift, &found);
    int any_zero = found.any_zero;
    if (!isfinite(found.squares)) {
        to->isa->OF(replace)(x, n, shift, kept, &nans, &infs);
        if (nans + infs) {
            to->nans += nans, to->infs += infs;
            finite = kept, any_zero = 1;
            OF(moments_of)(to, kept, n, shift, &found);
        }
    }
    if (any_zero)
        to->zeros += to->isa->OF(zeros)(x, n);
    const int64_t count = n - nans - infs;
    if (count) {
        const double step = found.sum / (double)count, centre = shift + step;
        double m2 = spread(&found, (double)count);
        /* The first block's shift is an element; it may lie far from a mean near zero. */
        const int far = found.squares > CANCELLED * m2 || (to->finite == 0 && fabs(step) > fabs(centre));
        if (far && isfinite(found.squares)) {
            shift = (REAL)clamped(centre, found.low, found.high);
            if (count < n)
                to->isa->OF(replace)(x, n, shift, kept, &nans, &infs);
            OF(moments_of)(to, finite, n, shift, &found);
            m2 = spread(&found, (double)count);
        }
        if (isfinite(found.squares))
            merge(to, count, shift, found.sum, m2);
        else {
            double mean;
            OF(far_apart)(finite, n, &mean, &m2);
            merge(to, count, mean, 0, m2);
        }
        to->low = found.low < to->low ? found.low : to->low;
        to->high = found.high > to->high ? found.high : to->high;
    }
    if (to->bins)
        OF(exponents_add)(to, x, n, nans + infs ? INFINITY : fmax(fabs(found.low), fabs(found.high)));
}

#undef JOIN
#undef TYPED
#undef OF
#undef REAL
#undef BITS

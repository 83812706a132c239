/*
 * Bytes times bytes by AMX: tiles of 16 rows times tiles of 16 vectors, 64
 * columns at a time, rows read where they lie. Few vectors are VNNI's.
 */
#include <string.h>

#include "verify-run/fixed_internal.h"

#if defined(__x86_64__)

#include "verify-run/fixed_avx512.h"

enum {
    DIGITS = FIXED_DIGITS,
    TILED_ROWS = 32,
    TILED_BYTES = 1 << 19 /* of a matrix, that stay in the second cache */
};

#define AMX                                                                    \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,"     \
                          "amx-tile,amx-int8")))

/* The compiler does not know that tiles read memory. */
#define WRITTEN() __asm__ volatile("" ::: "memory")

AMX static void configure(void)
{
    struct {
        uint8_t palette, start, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = { .palette = 1 };

    for (int i = 0; i < 8; i++) {
        shape.row_bytes[i] = 64;
        shape.rows[i] = 16;
    }
    WRITTEN();
    _tile_loadconfig(&shape);
}

/* Two digits of a panel, whose sums with 32 rows are in tiles 0 .. 3. */
AMX static inline void add_tiles(
    const uint8_t *w, size_t row_bytes, const uint8_t *x, size_t digit)
{
    _tile_loadd(4, w, row_bytes);
    _tile_loadd(6, x, 64);
    _tile_loadd(7, x + digit, 64);
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_loadd(5, w + 16 * row_bytes, row_bytes);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
}

/* Columns below 64 that are left of 32 rows, filled up with zeros. */
struct rest {
    _Alignas(64) int8_t w[TILED_ROWS][64];
};

/* Sums of 32 rows with a panel, of one slice and each digit. */
struct tiled {
    _Alignas(64) int32_t sum[DIGITS][TILED_ROWS][FIXED_PANEL];
};

AMX static void multiply(struct tiled *out, const uint8_t *w, size_t row_bytes,
    const uint8_t *x, size_t digit, size_t cols, const struct rest *rest)
{
    for (size_t d = 0; d < DIGITS; d += 2) {
        const uint8_t *at = x + d * digit;
        size_t k = 0;

        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (; k + 64 <= cols; k += 64)
            add_tiles(w + k, row_bytes, at + k * FIXED_PANEL, digit);
        if (k < cols)
            add_tiles((const uint8_t *)rest->w, sizeof(rest->w[0]),
                at + k * FIXED_PANEL, digit);
        _tile_stored(0, out->sum[d][0], 64);
        _tile_stored(1, out->sum[d + 1][0], 64);
        _tile_stored(2, out->sum[d][16], 64);
        _tile_stored(3, out->sum[d + 1][16], 64);
    }
}

/* 16 rows' products with a panel. */
AMX static void put_rows(const struct fixed_rows *j, size_t row, size_t panel,
    const struct totals total[16])
{
    const size_t n = size_min(FIXED_PANEL, j->x.n - panel * FIXED_PANEL);
    float *y = j->y + panel * FIXED_PANEL * j->y_step + row;
    __m512i by_row[16];
    __m512i by_vector[16];

    for (size_t r = 0; r < 16; r++)
        by_row[r] =
            _mm512_castps_si512(values_of(j, row + r, panel, &total[r]));
    transpose(by_vector, by_row);
    for (size_t v = 0; v < n; v++)
        _mm512_storeu_si512(y + v * j->y_step, by_vector[v]);
}

AMX static void tiled_rows(const struct fixed_rows *j, size_t row, size_t panel,
    const struct rest *rest)
{
    const size_t cols = j->x.cols;
    const uint8_t *w = (const uint8_t *)j->w + row * cols;
    const uint8_t *x = fixed_at(&j->x, panel * FIXED_PANEL);
    struct totals total[TILED_ROWS] = { 0 };
    struct tiled t;

    for (size_t k = 0; k < cols; k += FIXED_SLICE) {
        multiply(&t, w + k, cols, x + k * FIXED_PANEL,
            fixed_width(&j->x) * FIXED_PANEL, size_min(FIXED_SLICE, cols - k),
            rest);
        for (size_t r = 0; r < TILED_ROWS; r++) {
            __m512i sum[DIGITS];

            UNROLLED
            for (size_t d = 0; d < DIGITS; d++)
                sum[d] = _mm512_load_si512(t.sum[d][r]);
            add_digits(&total[r], sum);
        }
    }
    for (size_t r = 0; r < TILED_ROWS; r += 16)
        put_rows(j, row + r, panel, total + r);
}

static void fill_rest(struct rest *rest, const struct fixed_rows *j, size_t row)
{
    const size_t cols = j->x.cols;

    memset(rest, 0, sizeof(*rest));
    for (size_t r = 0; r < TILED_ROWS; r++)
        memcpy(rest->w[r], j->w + (row + r) * cols + cols / 64 * 64, cols % 64);
    WRITTEN();
}

/* At least TILED_ROWS. The last ones are done again where they do not fit. */
AMX static void tiled_panels(
    const struct fixed_rows *j, size_t first, size_t end)
{
    const size_t most =
        size_max(TILED_BYTES / j->x.cols / TILED_ROWS, 1) * TILED_ROWS;

    for (; first < end; first += most) {
        const size_t rows = size_min(most, end - first);

        for (size_t p = 0; p < fixed_panels(&j->x); p++) {
            for (size_t r = 0; r < rows; r += TILED_ROWS) {
                size_t row = size_min(first + r, end - TILED_ROWS);
                struct rest rest;

                if (j->x.cols % 64 != 0)
                    fill_rest(&rest, j, row);
                tiled_rows(j, row, p, &rest);
            }
        }
    }
}

AMX static void rows_amx(const struct fixed_rows *j, size_t first, size_t end)
{
    if (j->x.n < FIXED_MANY) {
        fixed_vnni.rows(j, first, end);
    } else if (end - first < TILED_ROWS) {
        fixed_vnni_signed(j, first, end);
    } else {
        configure();
        tiled_panels(j, first, end);
        _tile_release();
    }
}

const struct fixed_ops fixed_amx = {
    .make = fixed_make_signed,
    .rows = rows_amx,
};

#endif

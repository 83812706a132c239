/* t_blank.c - matrices that hold nothing, wherever the nothing is. */
#include "verify-run/blank.h"

#include "tests/numeric/tinymodel.h"
#include "tests/unit/tap.h"

enum { ROWS = 300, COLS = 64, N = ROWS * COLS };

/* A matrix of noise with len values from first on set to one. */
static void look(
    uint64_t first, uint64_t len, float one, bool padded, const char *want)
{
    static float values[N];
    struct tiny_model m = tiny_make(NULL, NULL, 0);
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 20);
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct tiny_tensor t = { .name = "w", .rank = 2, .shape = { ROWS, COLS } };
    struct err e = ERR_INIT;
    char why[BLANK_TEXT] = "?";

    for (uint64_t i = 0; i < N; i++)
        values[i] =
            i >= first && i < first + len ? one : tiny_value("noise", i);
    tiny_safetensors(&file, &t, 1);
    memcpy(file.p + file.len - sizeof(values), values, sizeof(values));
    tiny_put(&m, "model.safetensors", file.p, file.len);
    ok(checkpoint_open(&c, m.folder, NULL, &e) == 0 &&
            blank_look(why, &c, &c.tensors[0], padded, &e) == 0,
        "%u values of %g from %u on", (unsigned)len, (double)one,
        (unsigned)first);
    is_str(why, want, "what is said");
    tiny_remove(&m);
}

int main(void)
{
    look(0, 0, 0, false, "");
    look(0, N, 0, false, "all 19200 values are 0");
    look(0, N, 0, true, "all 19200 values are 0");
    look(0, N, 1, false, "all 19200 values are the same");
    look(0, N - 1, 0, false, "rows 0 to 299 of 300 are 0");
    look(1, N - 1, 0, false, "rows 0 to 299 of 300 are 0");
    look(0, N - 1, 1, false, "");
    look(N - 5120, 5120, 0, false, "rows 220 to 299 of 300 are 0");
    look(N - 5120, 5120, 0, true, "");
    look(0, 5120, 0, false, "rows 0 to 79 of 300 are 0");
    look(6401, 6400, 0, false, "rows 100 to 200 of 300 are 0");
    look(6400, 4095, 0, false, "");
    look(N - 600, 600, 0, false, "");
    look(6400, 6400, 1, false, "");
    return done();
}

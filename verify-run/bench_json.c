/* Measured models as one document: results by name, for other tools. */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "base/json.h"
#include "verify-run/bench.h"

/* The readers of this form take GB as 2^30 bytes. */
static const double GIB = 1 << 30;

static void put_number(struct buf *out, const char *key, double v)
{
    if (isfinite(v))
        buf_printf(out, "\"%s\":%.9g", key, v);
    else
        buf_printf(out, "\"%s\":null", key);
}

static void put_quantize(struct buf *out, bool int8)
{
    buf_printf(out, ",\"quantize\":%s", int8 ? "\"int8\"" : "null");
}

static void put_info(struct buf *out, const struct bench_model *m)
{
    double v = (double)m->parameters;

    buf_puts(out, ",\"info\":{\"params\":");
    if (v >= 1e8)
        buf_printf(out, "\"%.4gB\"", v / 1e9);
    else
        buf_printf(out, "\"%.4gM\"", v / 1e6);
    buf_printf(out,
        ",\"parameters\":%" PRIu64 ",\"architecture\":\"%s\",\"dtype\":\"%s\"}",
        m->parameters, m->architecture, dtype_name(m->dtype));
}

static void put_speed(struct buf *out, const struct bench_model *m)
{
    buf_puts(out, ",\"speed\":{");
    put_number(out, "tokens_per_second", m->tokens_per_second);
    buf_putc(out, ',');
    put_number(out, "std_tokens_per_second", m->std_tokens_per_second);
    buf_putc(out, ',');
    put_number(out, "avg_generation_time", m->mean_seconds);
    buf_putc(out, ',');
    put_number(out, "std_generation_time", m->std_seconds);
    buf_printf(out,
        ",\"avg_tokens_generated\":%u,\"num_runs\":%d,\"prompt_tokens\":%u,"
        "\"run_seconds\":[",
        m->n_new, BENCH_RUNS, m->n_prompt);
    for (int i = 0; i < BENCH_RUNS; i++)
        buf_printf(out, "%s%.9g", i > 0 ? "," : "", m->seconds[i]);
    buf_puts(out, "],");
    put_number(out, "first_token_seconds", m->first_token_seconds);
    buf_putc(out, ',');
    put_number(out, "load_seconds", m->load_seconds);
    buf_printf(out, ",\"bytes_per_token\":%" PRIu64 ",", m->token_bytes);
    put_number(out, "gb_per_second", m->gb_per_second);
    buf_putc(out, '}');
}

static void put_memory(struct buf *out, const struct bench_model *m)
{
    buf_puts(out, ",\"memory\":{");
    put_number(out, "model_memory_gb", (double)m->bytes / GIB);
    buf_putc(out, ',');
    put_number(out, "peak_memory_gb", (double)m->peak_memory / GIB);
    buf_printf(out,
        ",\"device\":\"%s\",\"model_memory_bytes\":%" PRIu64
        ",\"peak_memory_bytes\":%" PRIu64 "}",
        m->backend, m->bytes, m->peak_memory);
}

static void put_model(struct buf *out, const struct bench_model *m)
{
    json_quote(out, str_of(m->name));
    if (m->why.kind != ERR_NONE) {
        buf_puts(out, ":{\"error\":");
        json_quote(out, str_of(m->why.msg));
        buf_putc(out, '}');
        return;
    }
    buf_puts(out, ":{\"model\":");
    json_quote(out, str_of(m->name));
    put_info(out, m);
    put_quantize(out, m->int8);
    buf_printf(out, ",\"device\":\"%s\",\"device_name\":", m->backend);
    json_quote(out, str_of(m->device));
    put_speed(out, m);
    put_memory(out, m);
    buf_putc(out, '}');
}

void bench_json(struct buf *out, const struct bench_model *v, size_t n,
    const struct bench_opts *o)
{
    time_t now = time(NULL);
    char when[32] = "";
    const char *device = NULL;
    struct tm tm;

    if (gmtime_r(&now, &tm) != NULL)
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    for (size_t i = 0; i < n; i++)
        if (v[i].backend != NULL)
            device = v[i].backend;
    buf_printf(out, "{\"timestamp\":\"%s\",\"device\":", when);
    if (device != NULL)
        buf_printf(out, "\"%s\"", device);
    else
        buf_puts(out, "null");
    buf_printf(
        out, ",\"quantize\":null,\"dtype\":\"%s\",\"models\":{", o->dtype);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_model(out, &v[i]);
    }
    buf_puts(out, "}}\n");
}

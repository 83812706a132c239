#include "convert/verdict.h"

#include <math.h>

#include "base/human.h"
#include "base/log.h"

enum {
    NAME_BYTES = 120, /* of a tensor's name in a message */
    NAMED_MAX = 100   /* tensors named one by one */
};

static int name_len(const struct tensor *t)
{
    return (int)size_min(t->name.len, NAME_BYTES);
}

bool verdict_refuses(const struct layout *p, uint64_t i, const struct recipe *r,
    const struct audit *a)
{
    if (layout_made(p, i) == MADE_INT8 && a->nan > 0)
        return true;
    return r->on_overflow == OVERFLOW_ERROR && a->overflow > 0;
}

void verdict_make(struct verdict *v, const struct layout *p,
    const struct recipe *r, const struct audit *audits)
{
    uint64_t most = 0;

    *v = (struct verdict){ .error = NULL };
    for (uint64_t i = 0; i < p->n; i++) {
        const struct audit *a = &audits[i];
        uint64_t small = a->underflow + a->subnormal;

        if (a->error > v->all.error)
            v->error = &p->out[i];
        if (a->overflow > 0) {
            if (v->overflow++ == 0 || a->largest > v->overflow_value) {
                v->largest = &p->out[i];
                v->overflow_value = a->largest;
            }
        }
        if (small > most) {
            most = small;
            v->small = &p->out[i];
        }
        if (verdict_refuses(p, i, r, a) && v->refused++ == 0)
            v->first = &p->out[i];
        if (a->nan + a->inf > 0 && layout_made(p, i) != MADE_INT8) {
            v->odd = v->odd != NULL ? v->odd : &p->out[i];
            v->nan += a->nan;
            v->inf += a->inf;
        }
        audit_join(&v->all, a);
    }
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void log_overflow(const struct layout *p, const struct recipe *r,
    uint64_t i, const struct audit *a)
{
    if (layout_made(p, i) == MADE_INT8)
        log_warn("tensor '%.*s': %llu NaN, and %llu infinite or beyond "
                 "float32: int8 has no such values",
            STR_ARG(p->out[i].name), (unsigned long long)a->nan,
            (unsigned long long)a->overflow);
    else
        log_warn("tensor '%.*s': %llu value%s beyond the range of %s, the "
                 "largest %.6g",
            STR_ARG(p->out[i].name), (unsigned long long)a->overflow,
            plural(a->overflow), r->int8 ? "bf16" : recipe_dtype(r),
            a->largest);
}

static void log_overflows(
    const struct layout *p, const struct recipe *r, const struct audit *audits)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < p->n; i++) {
        const struct audit *a = &audits[i];
        bool lost =
            a->overflow > 0 || (layout_made(p, i) == MADE_INT8 && a->nan > 0);

        if (lost && n++ < NAMED_MAX)
            log_overflow(p, r, i, a);
    }
    if (n > NAMED_MAX)
        log_warn(
            "and so in %llu more tensors", (unsigned long long)n - NAMED_MAX);
}

static void log_cast(const struct verdict *v, const struct recipe *r)
{
    char zero[HUMAN_MAX], subnormal[HUMAN_MAX];

    if (v->error == NULL) {
        log_info("cast to %s: every %svalue is kept exactly", recipe_dtype(r),
            v->all.overflow + v->refused > 0 ? "other " : "");
        return;
    }
    if (v->small == NULL) {
        log_info("cast to %s: largest error %.3g, in '%.*s'", recipe_dtype(r),
            v->all.error, name_len(v->error), v->error->name.p);
        return;
    }
    log_info("cast to %s: largest error %.3g, in '%.*s'; %s value%s became "
             "zero, %s subnormal, most in '%.*s'",
        recipe_dtype(r), v->all.error, name_len(v->error), v->error->name.p,
        human_count(zero, v->all.underflow), plural(v->all.underflow),
        human_count(subnormal, v->all.subnormal), name_len(v->small),
        v->small->name.p);
}

void verdict_log(const struct verdict *v, const struct layout *p,
    const struct recipe *r, const struct audit *audits)
{
    char nan[HUMAN_MAX], inf[HUMAN_MAX];

    log_overflows(p, r, audits);
    if (r->dtype != DTYPE_NONE)
        log_cast(v, r);
    if (v->odd != NULL)
        log_warn("not finite in the source, and kept: %s NaN, %s infinite, "
                 "first in '%.*s'",
            human_count(nan, v->nan), human_count(inf, v->inf),
            name_len(v->odd), v->odd->name.p);
}

static int refuse_int8(const struct verdict *v, const struct audit *a,
    const char *source, struct err *e)
{
    err_set(e, ERR_VERDICT,
        "%s: values in %llu tensor%s that the int8 form has no place for; "
        "first: '%.*s', %llu NaN, %llu infinite or out of range",
        source, (unsigned long long)v->refused, plural(v->refused),
        name_len(v->first), v->first->name.p, (unsigned long long)a->nan,
        (unsigned long long)a->overflow);
    return err_hint(e, a->nan > 0
                           ? "a NaN has no nearest number: --keep, --bf16 and "
                             "--fp32 keep it"
                           : "use --keep, or --on-overflow clamp, which takes "
                             "the end of the range");
}

int verdict_refuse(const struct verdict *v, const struct audit *audits,
    const struct layout *p, const struct recipe *r, const char *source,
    struct err *e)
{
    const struct tensor *t = v->largest;
    uint64_t worst;

    if (r->int8)
        return refuse_int8(v, &audits[v->first - p->out], source, e);
    worst = audits[t - p->out].overflow;
    err_set(e, ERR_VERDICT,
        "%s: %llu value%s in %llu tensor%s beyond the range of %s; worst: "
        "'%.*s', %llu value%s, the largest %.6g",
        source, (unsigned long long)v->all.overflow, plural(v->all.overflow),
        (unsigned long long)v->overflow, plural(v->overflow), recipe_dtype(r),
        name_len(t), t->name.p, (unsigned long long)worst, plural(worst),
        v->overflow_value);
    return err_hint(
        e, r->dtype == DTYPE_F16
               ? "use --bf16, which has the range of fp32, or --on-overflow "
                 "clamp|inf"
               : "use --keep, or --on-overflow clamp|inf");
}

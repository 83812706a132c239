/* The figures of a mirror in Prometheus' text format. */
#include "serve/statuspage.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/version.h"

static void head(
    struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buf *out, const char *name, const char *type,
    const char *help, uint64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_requests(struct buf *out, const struct tally *t)
{
    static const char name[] = "mlfetch_mirror_requests_total";

    head(out, name, "counter", "Requests answered, by route and status.");
    for (unsigned k = 0; k < TRAFFIC_KINDS; k++)
        for (unsigned c = 0; c < TRAFFIC_CODES; c++)
            if (t->requests[k][c] > 0 && traffic_codes[c] != 0)
                buf_printf(out, "%s{route=\"%s\",code=\"%u\"} %" PRIu64 "\n",
                    name, traffic_kind_names[k], traffic_codes[c],
                    t->requests[k][c]);
            else if (t->requests[k][c] > 0)
                buf_printf(out, "%s{route=\"%s\",code=\"other\"} %" PRIu64 "\n",
                    name, traffic_kind_names[k], t->requests[k][c]);
}

struct fetching {
    uint64_t n, have;
};

static void count_fetch(void *arg, const struct supply_fetch *f)
{
    struct fetching *all = arg;

    all->n++;
    all->have += f->have;
}

/* Resident pages: the second number of statm. */
static uint64_t resident(void)
{
    struct buf text AUTO(buf_free) = BUF_INIT(4096);
    struct err ignored = ERR_INIT;
    const char *p;
    uint64_t n = 0;

    if (file_slurp("/proc/self/statm", &text, &ignored) != 0)
        return 0;
    p = strchr(text.p, ' ');
    while (p != NULL && *++p >= '0' && *p <= '9')
        n = n * 10 + (uint64_t)(*p - '0');
    return n * (uint64_t)sysconf(_SC_PAGESIZE);
}

void statuspage_metrics(struct buf *out, const struct status *s)
{
    const struct supplier *from = s->supply->supplier;
    const struct tally *t = s->tally;
    struct fetching fetching = { 0 };

    head(out, "mlfetch_mirror_info", "gauge", "The program's version.");
    buf_puts(out, "mlfetch_mirror_info{version=\"" ML_VERSION "\"} 1\n");
    put_requests(out, t);
    one(out, "mlfetch_mirror_hits_total", "counter",
        "Files sent that were held.", t->hits);
    one(out, "mlfetch_mirror_misses_total", "counter",
        "Files sent that had to be fetched.", t->misses);
    one(out, "mlfetch_mirror_sent_bytes_total", "counter",
        "Bytes that clients have received.", t->sent);
    one(out, "mlfetch_mirror_cut_total", "counter", "Answers that broke off.",
        t->cut);
    one(out, "mlfetch_mirror_let_go_total", "counter",
        "Connections ended because they only took up room.", t->let_go);
    one(out, "mlfetch_mirror_connections_total", "counter",
        "Connections accepted.", t->connections_total);
    one(out, "mlfetch_mirror_connections", "gauge", "Connections open.",
        t->connections);
    one(out, "mlfetch_mirror_sending", "gauge", "Files being sent.",
        t->sending_total);
    if (from != NULL) {
        from->fetching(from->self, count_fetch, &fetching);
        one(out, "mlfetch_mirror_fetching", "gauge",
            "Files being fetched from the upstream.", fetching.n);
    }
    if (s->held->when != 0) {
        one(out, "mlfetch_mirror_held_repositories", "gauge",
            "Repositories held.", s->held->n);
        one(out, "mlfetch_mirror_held_bytes", "gauge",
            "Bytes held, each content counted once.", s->held->bytes);
    }
    one(out, "mlfetch_mirror_uptime_seconds", "gauge",
        "Seconds since the start.", (uint64_t)t->up_s);
    one(out, "process_resident_memory_bytes", "gauge",
        "Resident memory of the process.", resident());
}

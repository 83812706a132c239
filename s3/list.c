#include "s3/list.h"

#include <stdio.h>

#include "base/clock.h"
#include "s3/client_internal.h"

/* Each page may come in time, and the list never end. */
static int check_time(const struct s3 *s, uint64_t begun_ms, struct err *e)
{
    if (s->opts.answer_s == 0 ||
        clock_ms() - begun_ms < (uint64_t)s->opts.answer_s * 1000)
        return 0;
    return err_set(
        e, ERR_NET, "the list does not end within %u s", s->opts.answer_s);
}

int s3_list(struct s3 *s, const struct s3_list *l, struct err *e)
{
    struct answer_page page = { .more = false };
    char last[ANSWER_MARK_MAX] = "", most[16];
    const char *prefix = l->prefix != NULL ? l->prefix : "";
    uint64_t begun_ms = clock_ms();

    do {
        struct s3_ask a = { .method = "GET", .answer_max = ASK_PAGE_MAX };
        struct buf text AUTO(buf_free) = BUF_INIT(0);
        int rc;

        ask_query(&a, "list-type", "2");
        ask_query(&a, "encoding-type", "url");
        ask_query(&a, "prefix", prefix);
        if (l->folders)
            ask_query(&a, "delimiter", "/");
        if (l->after != NULL)
            ask_query(&a, "start-after", l->after);
        if (l->page_max > 0) {
            snprintf(most, sizeof(most), "%u", l->page_max);
            ask_query(&a, "max-keys", most);
        }
        if (last[0] != '\0')
            ask_query(&a, "continuation-token", last);
        if (s3_finish(s, &a, e) != 0)
            return -1;
        text = s3_take_answer(s);
        rc = answer_list(buf_str(&text), l, &page, e);
        if (rc == S3_LIST_ENOUGH)
            return 0;
        if (rc == 0 && page.more && strcmp(page.mark, last) == 0)
            rc = err_set(e, ERR_REFUSED, "the list goes round in a circle");
        if (rc == 0 && page.more)
            rc = check_time(s, begun_ms, e);
        if (rc != 0)
            return page.ended != 0
                       ? -1
                       : s3_named(s, prefix[0] != '\0' ? prefix : NULL, e);
        snprintf(last, sizeof(last), "%s", page.mark);
    } while (page.more);
    return 0;
}

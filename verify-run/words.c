#include "verify-run/words.h"

#include <stdlib.h>

#include "verify-run/grow.h"

void words_free(struct words *w)
{
    buf_free(&w->text);
    free(w->end);
    w->end = NULL;
    w->n = w->cap = 0;
}

void words_clear(struct words *w)
{
    buf_clear(&w->text);
    w->n = 0;
    w->headless = false;
}

struct str words_get(const struct words *w, size_t i)
{
    size_t from = i == 0 ? 0 : w->end[i - 1];

    return (struct str){ w->text.p + from, w->end[i] - from };
}

int words_end(struct words *w, struct err *e)
{
    size_t *end;

    if (buf_check(&w->text, e) != 0)
        return -1;
    end = grow(w->end, &w->cap, w->n + 1, sizeof(*end), e);
    if (end == NULL)
        return -1;
    w->end = end;
    w->end[w->n++] = w->text.len;
    return 0;
}

int words_add(struct words *w, struct str word, struct err *e)
{
    buf_put(&w->text, word.p, word.len);
    return words_end(w, e);
}

int words_glue(struct words *w, struct str more, struct err *e)
{
    buf_put(&w->text, more.p, more.len);
    w->end[w->n - 1] = w->text.len;
    return buf_check(&w->text, e);
}

/* Ranges: the right bytes, or the whole file, or none. */
#include "serve/span.h"

#include "tests/unit/tap.h"

static void is(const char *header, uint64_t size, enum span_kind kind,
    uint64_t from, uint64_t to)
{
    uint64_t a = 77, b = 77;
    enum span_kind got = span_parse(header, size, &a, &b);

    ok(got == kind && (kind == SPAN_NONE || (a == from && b == to)),
        "'%s' of %llu", header != NULL ? header : "(none)",
        (unsigned long long)size);
    if (got != kind || (kind != SPAN_NONE && (a != from || b != to)))
        printf("# %d [%llu, %llu)\n", got, (unsigned long long)a,
            (unsigned long long)b);
}

int main(void)
{
    is(NULL, 10, SPAN_ALL, 0, 10);
    is("bytes=0-0", 10, SPAN_PART, 0, 1);
    is("bytes=0-9", 10, SPAN_PART, 0, 10);
    is("bytes=0-", 10, SPAN_REST, 0, 10);
    is("bytes=9-", 10, SPAN_REST, 9, 10);
    is("bytes=9-100", 10, SPAN_PART, 9, 10);
    is("bytes=-1", 10, SPAN_PART, 9, 10);
    is("bytes=-10", 10, SPAN_PART, 0, 10);
    is("bytes=-11", 10, SPAN_PART, 0, 10);
    is("bytes= 2-3 ", 10, SPAN_PART, 2, 4);
    is("Bytes=2-3", 10, SPAN_PART, 2, 4);
    is("bytes=10-", 10, SPAN_NONE, 0, 0);
    is("bytes=10-12", 10, SPAN_NONE, 0, 0);
    is("bytes=-0", 10, SPAN_NONE, 0, 0);
    is("bytes=0-", 0, SPAN_NONE, 0, 0);
    is("bytes=-5", 0, SPAN_NONE, 0, 0);
    is("bytes=99999999999999999999999-", 10, SPAN_NONE, 0, 0);
    is("bytes=0-99999999999999999999999", 10, SPAN_PART, 0, 10);
    is("bytes=0-18446744073709551615", 10, SPAN_PART, 0, 10);
    is("bytes=18446744073709551615-", 10, SPAN_NONE, 0, 0);
    is("bytes=-18446744073709551615", 10, SPAN_PART, 0, 10);
    /* Not understood, or several: all of it. */
    is("", 10, SPAN_ALL, 0, 10);
    is("bytes=", 10, SPAN_ALL, 0, 10);
    is("bytes=-", 10, SPAN_ALL, 0, 10);
    is("bytes=3", 10, SPAN_ALL, 0, 10);
    is("bytes=3-2", 10, SPAN_ALL, 0, 10);
    is("bytes=0-1,3-4", 10, SPAN_ALL, 0, 10);
    is("bytes=0-1x", 10, SPAN_ALL, 0, 10);
    is("bytes=+1-2", 10, SPAN_ALL, 0, 10);
    is("bytes=--1", 10, SPAN_ALL, 0, 10);
    is("items=0-1", 10, SPAN_ALL, 0, 10);
    return done();
}

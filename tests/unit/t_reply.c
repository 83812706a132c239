/* The head of an answer: what is taken, what is odd, every cut, every split. */
#include "net/reply.h"

#include "tests/unit/tap.h"

static const char part[] = "HTTP/1.1 206 Partial Content\r\n"
                           "Server: s\r\n"
                           "content-length:  100 \t \r\n"
                           "X-A: 1\r\n"
                           "Content-Range: bytes 0-99/1000\r\n"
                           "x-a:2\r\n"
                           "Empty:\r\n"
                           "\r\n";
static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n"
                              "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
                              "HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n";

static enum reply_state feed(struct reply *r, const char *text, size_t *used)
{
    reply_clear(r);
    return reply_feed(r, text, strlen(text), used);
}

static void check_part(void)
{
    struct reply r AUTO(reply_free) = REPLY_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT(4096);
    size_t used;

    buf_puts(&text, part);
    buf_puts(&text, "HTTP/1.1 body");
    ok(feed(&r, text.p, &used) == REPLY_WHOLE && used == sizeof(part) - 1,
        "the head ends where the body begins");
    is_int(r.status, 206, "its status");
    ok(r.sized && r.length == 100 && r.keeps,
        "its length; the rest may follow");
    is_str(reply_header(&r, "Content-Range", 0), "bytes 0-99/1000",
        "a header, by its name in any case");
    is_str(reply_header(&r, "Content-Length", 0), "100", "without blanks");
    is_str(reply_header(&r, "X-A", 0), "1", "the first of a name");
    is_str(reply_header(&r, "X-A", 1), "2", "the second one");
    is_str(reply_header(&r, "Empty", 0), "", "one that says nothing");
    ok(reply_header(&r, "X-A", 2) == NULL && reply_header(&r, "X", 0) == NULL &&
            reply_header(&r, "HTTP/1.1 206 Partial Content", 0) == NULL,
        "none that is not there");
}

/* Every cut is a part of it; every split into two, and into bytes, is it. */
static void check_splits(const char *text, long status, const char *name)
{
    size_t len = strlen(text), bad = 0, used, more;

    for (size_t cut = 0; cut < len; cut++) {
        struct reply r AUTO(reply_free) = REPLY_INIT;

        bad += reply_feed(&r, text, cut, &used) != REPLY_PART || used != cut;
        bad += reply_feed(&r, text + cut, len - cut, &more) != REPLY_WHOLE ||
               more != len - cut || r.status != status || !r.sized;
    }
    is_int((long long)bad, 0, name);
}

static void check_bytes(const char *text)
{
    struct reply r AUTO(reply_free) = REPLY_INIT;
    enum reply_state state = REPLY_PART;
    size_t i = 0, used;

    for (; text[i] != '\0' && state == REPLY_PART; i++)
        state = reply_feed(&r, text + i, 1, &used);
    ok(state == REPLY_WHOLE && text[i] == '\0', "byte by byte, too");
}

struct case_of {
    const char *text;
    const char *name;
};

static void check_odd(void)
{
    static const struct case_of cases[] = {
        { "SSH-2.0", "another protocol, before its line ends" },
        { "H\r\n\r\n", "a line too short" },
        { "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", "HTTP/1.0" },
        { "HTTP/1.1 2xx OK\r\nContent-Length: 1\r\n\r\n", "no number" },
        { "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\n", "four digits" },
        { "HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\n", "a line of LF alone" },
        { "HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 1\r\n\r\n", "a CR" },
        { "HTTP/1.1 200 OK\r\n A: b\r\nContent-Length: 1\r\n\r\n",
            "a line that goes on" },
        { "HTTP/1.1 200 OK\r\nA\r\nContent-Length: 1\r\n\r\n", "no colon" },
        { "HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 1\r\n\r\n", "no name" },
        { "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
            "a blank before the colon" },
        { "HTTP/1.1 200 OK\r\nA: \x01\r\nContent-Length: 1\r\n\r\n",
            "a control character" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "two lengths, even the same" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "both in one" },
        { "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "less than none" },
        { "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "a sign" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "a length beyond 64 bits" },
        { "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "an empty length" },
        { "HTTP/1.1 200 OK\r\n\r\n", "until it closes" },
        { "HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "chunks" },
        { "HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n"
          "Content-Length: 3\r\n\r\n",
            "chunks and a length" },
        { "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n",
            "a redirect" },
        { "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", "no content" },
        { "HTTP/1.1 101 Up\r\n\r\n", "another protocol from now on" },
        { "HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", "600" },
        { "HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n", "099" },
    };
    struct reply r AUTO(reply_free) = REPLY_INIT;
    size_t used;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        is_int(feed(&r, cases[i].text, &used), REPLY_ODD, cases[i].name);
    reply_clear(&r);
    is_int(reply_feed(&r, "HTTP/1.1 200 \0\r\n\r\n", 18, &used), REPLY_ODD,
        "a zero byte");
}

static void check_limits(void)
{
    struct reply r AUTO(reply_free) = REPLY_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    size_t used;

    buf_puts(&text, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA: ");
    for (size_t i = 0; i < REPLY_HEAD_MAX; i++)
        buf_putc(&text, 'a');
    buf_puts(&text, "\r\n\r\n");
    is_int(feed(&r, text.p, &used), REPLY_ODD, "a head beyond all measure");
    buf_clear(&text);
    for (int i = 0; i < 9; i++)
        buf_puts(&text, "HTTP/1.1 103 Wait\r\n\r\n");
    is_int(feed(&r, text.p, &used), REPLY_ODD, "hints without an end");
    text.p[strlen("HTTP/1.1 103 Wait\r\n\r\n") * 8] = '\0';
    is_int(feed(&r, text.p, &used), REPLY_PART, "eight of them are read");
}

static void check_refusals(void)
{
    struct reply r AUTO(reply_free) = REPLY_INIT;
    size_t used;

    ok(feed(&r, "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n",
           &used) == REPLY_WHOLE &&
            !r.sized && r.length == 0 && !r.keeps,
        "a refusal's words need not be read");
    ok(feed(&r,
           "HTTP/1.1 429 No\r\nContent-Length: 2\r\nRetry-After: 3\r\n\r\n",
           &used) == REPLY_WHOLE &&
            r.length == 2 && r.keeps,
        "they are, if their length is known");
    is_str(reply_header(&r, "retry-after", 0), "3", "and what it says is kept");
    ok(feed(&r,
           "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
           &used) == REPLY_WHOLE &&
            !r.keeps,
        "one that closes keeps nothing");
    ok(feed(&r,
           "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\n"
           "Content-Length: 2\r\n\r\n",
           &used) == REPLY_WHOLE &&
            r.keeps,
        "one that says it stays does");
}

int main(void)
{
    check_part();
    check_splits(part, 206, "every cut and every split of an answer");
    check_splits(interim, 200, "of one with two interim ones before it");
    check_bytes(part);
    check_bytes(interim);
    check_odd();
    check_limits();
    check_refusals();
    return done();
}

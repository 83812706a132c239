/*
 * One client of object storage, told on stdin what to do, a line each, words
 * split by tabs; every line is answered by rows, and one that begins with
 * "ok" or "err KIND EXIT". For s3_client.py; no test by itself.
 *
 *   s3ask BUCKET [virtual] [retry=S] [answer=S] [silent=S]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "s3/client.h"
#include "s3/list.h"
#include "s3/multipart.h"

enum { WORDS_MAX = 64, LINE_BYTES = 64 << 10 };

struct asker {
    struct s3 *s;
    char *word[WORDS_MAX];
    unsigned n;
    long long sent;
};

static const char *did_name(enum s3_did did)
{
    static const char *const names[] = { "done", "not-so", "unsure", "unable" };

    return names[did];
}

static int to_stdout(void *arg, const void *bytes, size_t len, struct err *e)
{
    struct hash *h = arg;

    (void)e;
    hash_add(h, bytes, len);
    return 0;
}

static int refuse(void *arg, const void *bytes, size_t len, struct err *e)
{
    (void)arg;
    (void)bytes;
    (void)len;
    return err_set(e, ERR_NOSPACE, "the taker has enough");
}

static void *room(void *arg, size_t *len)
{
    static char bytes[256 << 10];

    (void)arg;
    *len = sizeof(bytes);
    return bytes;
}

/* get KEY | get KEY FROM TO, with how = plain, room or refuse in front */
static int do_get(struct asker *a, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct s3_get g = { .key = a->word[2], .arg = &h, .body = to_stdout };
    struct s3_info info;
    struct digest d;

    if (strcmp(a->word[1], "room") == 0)
        g.room = room;
    if (strcmp(a->word[1], "refuse") == 0)
        g.body = refuse;
    if (a->n > 4) {
        g.ranged = true;
        g.from = strtoull(a->word[3], NULL, 10);
        g.to = strtoull(a->word[4], NULL, 10);
    }
    if (hash_begin(&h, HASH_SHA256, 0, e) != 0 ||
        s3_get(a->s, &g, &info, e) != 0)
        return -1;
    hash_end(&h, &d);
    printf("ok\t%s\t%llu\t%s\t%s\t%lld\n", info.found ? "found" : "missing",
        (unsigned long long)info.size, d.hex, info.etag,
        (long long)info.modified_s);
    return 0;
}

static int do_head(struct asker *a, struct err *e)
{
    struct s3_info info;

    if (s3_head(a->s, a->word[1], &info, e) != 0)
        return -1;
    printf("ok\t%s\t%llu\t%s\t%lld\n", info.found ? "found" : "missing",
        (unsigned long long)info.size, info.etag, (long long)info.modified_s);
    return 0;
}

/* url KEY SECONDS */
static int do_url(struct asker *a, struct err *e)
{
    struct buf url AUTO(buf_free) = BUF_INIT(LINE_BYTES);
    unsigned valid_s = (unsigned)strtoul(a->word[2], NULL, 10);

    if (s3_url(a->s, a->word[1], valid_s, &url, e) != 0)
        return -1;
    printf("ok\t%s\n", url.p);
    return 0;
}

static void count(void *arg, int64_t n)
{
    struct asker *a = arg;

    a->sent += n;
}

/* FILE OFFSET LEN from word i on; or "text" and the bytes themselves */
static int body_of(
    struct asker *a, unsigned i, struct s3_body *b, struct err *e)
{
    *b = (struct s3_body){ .fd = -1, .sent = count, .arg = a };
    a->sent = 0;
    if (strcmp(a->word[i], "text") == 0) {
        b->bytes = a->word[i + 1];
        b->len = strlen(a->word[i + 1]);
        return 0;
    }
    b->fd = file_open(a->word[i], NULL, e);
    b->offset = strtoull(a->word[i + 1], NULL, 10);
    b->len = strtoull(a->word[i + 2], NULL, 10);
    return b->fd < 0 ? -1 : 0;
}

/* put KEY always|absent|match:ETAG|lie body... */
static int do_put(struct asker *a, struct err *e)
{
    struct s3_body b;
    struct s3_cond cond = { .when = S3_ALWAYS };
    enum s3_did did = S3_DONE;
    char etag[S3_ETAG_MAX];
    struct digest lie = { .kind = HASH_SHA256 };
    int rc;

    memset(lie.hex, 'a', 64);
    if (strcmp(a->word[2], "absent") == 0)
        cond.when = S3_IF_ABSENT;
    if (strncmp(a->word[2], "match:", 6) == 0)
        cond = (struct s3_cond){ S3_IF_MATCH, a->word[2] + 6 };
    if (body_of(a, 3, &b, e) != 0)
        return -1;
    if (strcmp(a->word[2], "lie") == 0)
        b.sha256 = &lie;
    rc = s3_put(a->s, a->word[1], &b, &cond, &did, etag, e);
    fd_close(&b.fd);
    if (rc == 0)
        printf("ok\t%s\t%s\t%lld\n", did_name(did), etag, a->sent);
    return rc;
}

struct listing {
    struct s3 *s;
    long left;
};

/* The client that lists is asked for each key, too. */
static int show_entry(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct listing *l = arg;
    struct s3_info info = { .found = entry->folder, .size = entry->size };

    if (!entry->folder && s3_head(l->s, entry->key, &info, e) != 0)
        return -1;
    if (!info.found || info.size != entry->size)
        return err_set(e, ERR_CORRUPT, "%s: not as it is listed", entry->key);
    printf("%s\t%llu\t%s\t%lld\t%s\n", entry->folder ? "folder" : "key",
        (unsigned long long)entry->size, entry->etag,
        (long long)entry->modified_s, entry->key);
    return l->left > 0 && --l->left == 0 ? S3_LIST_ENOUGH : 0;
}

/* list PREFIX folders|flat PAGE MOST [AFTER] */
static int do_list(struct asker *a, struct err *e)
{
    struct listing listing = { a->s, strtol(a->word[4], NULL, 10) };
    struct s3_list l = { .prefix = a->word[1],
        .folders = strcmp(a->word[2], "folders") == 0,
        .page_max = (unsigned)strtoul(a->word[3], NULL, 10),
        .after = a->n > 5 ? a->word[5] : NULL,
        .entry = show_entry,
        .arg = &listing };

    if (s3_list(a->s, &l, e) != 0)
        return -1;
    printf("ok\n");
    return 0;
}

static int do_begin(struct asker *a, struct err *e)
{
    char upload[S3_UPLOAD_MAX];

    if (s3_multipart_begin(a->s, a->word[1], upload, e) != 0)
        return -1;
    printf("ok\t%s\n", upload);
    return 0;
}

/* part KEY UPLOAD NUMBER body... */
static int do_part(struct asker *a, struct err *e)
{
    struct s3_part part;
    struct s3_body b;
    int rc;

    if (body_of(a, 4, &b, e) != 0)
        return -1;
    rc = s3_multipart_send(a->s, a->word[1], a->word[2],
        (unsigned)strtoul(a->word[3], NULL, 10), &b, &part, e);
    fd_close(&b.fd);
    if (rc == 0)
        printf("ok\t%llu\t%s\n", (unsigned long long)part.size, part.etag);
    return rc;
}

/* partcopy KEY UPLOAD NUMBER FROM A B */
static int do_partcopy(struct asker *a, struct err *e)
{
    struct s3_part part;

    if (s3_multipart_copy(a->s, a->word[1], a->word[2],
            (unsigned)strtoul(a->word[3], NULL, 10), a->word[4],
            strtoull(a->word[5], NULL, 10), strtoull(a->word[6], NULL, 10),
            &part, e) != 0)
        return -1;
    printf("ok\t%llu\t%s\n", (unsigned long long)part.size, part.etag);
    return 0;
}

/* end KEY UPLOAD (NUMBER SIZE ETAG)... */
static int do_end(struct asker *a, struct err *e)
{
    struct s3_part parts[WORDS_MAX / 3];
    size_t n = 0;

    for (unsigned i = 3; i + 2 < a->n; i += 3, n++) {
        parts[n].number = (unsigned)strtoul(a->word[i], NULL, 10);
        parts[n].size = strtoull(a->word[i + 1], NULL, 10);
        snprintf(parts[n].etag, S3_ETAG_MAX, "%s", a->word[i + 2]);
    }
    if (s3_multipart_end(a->s, a->word[1], a->word[2], parts, n, e) != 0)
        return -1;
    printf("ok\n");
    return 0;
}

static int show_part(void *arg, const struct s3_part *part, struct err *e)
{
    (void)arg;
    (void)e;
    printf("part\t%u\t%llu\t%s\n", part->number, (unsigned long long)part->size,
        part->etag);
    return 0;
}

static int show_upload(void *arg, const struct s3_upload *u, struct err *e)
{
    (void)arg;
    (void)e;
    printf("upload\t%s\t%lld\t%s\n", u->upload, (long long)u->begun_s, u->key);
    return 0;
}

static int plain(int rc)
{
    if (rc == 0)
        printf("ok\n");
    return rc;
}

static int again(struct asker *a, struct err *e)
{
    struct s3 *next = s3_open_like(a->s, e);

    if (next == NULL)
        return -1;
    s3_close(a->s);
    a->s = next;
    return plain(0);
}

static int run(struct asker *a, struct err *e)
{
    const char *w = a->word[0];

    if (strcmp(w, "get") == 0)
        return do_get(a, e);
    if (strcmp(w, "head") == 0)
        return do_head(a, e);
    if (strcmp(w, "url") == 0)
        return do_url(a, e);
    if (strcmp(w, "put") == 0)
        return do_put(a, e);
    if (strcmp(w, "list") == 0)
        return do_list(a, e);
    if (strcmp(w, "begin") == 0)
        return do_begin(a, e);
    if (strcmp(w, "part") == 0)
        return do_part(a, e);
    if (strcmp(w, "partcopy") == 0)
        return do_partcopy(a, e);
    if (strcmp(w, "end") == 0)
        return do_end(a, e);
    if (strcmp(w, "again") == 0)
        return again(a, e);
    if (strcmp(w, "delete") == 0)
        return plain(s3_delete(a->s, a->word[1], e));
    if (strcmp(w, "copy") == 0)
        return plain(s3_copy(a->s,
            &(struct s3_copy){ .from = a->word[1], .to = a->word[2] }, e));
    if (strcmp(w, "abort") == 0)
        return plain(s3_multipart_abort(a->s, a->word[1], a->word[2], e));
    if (strcmp(w, "parts") == 0)
        return plain(
            s3_parts(a->s, a->word[1], a->word[2], show_part, NULL, e));
    if (strcmp(w, "uploads") == 0)
        return plain(s3_uploads(a->s, a->word[1], show_upload, NULL, e));
    if (strcmp(w, "check") == 0)
        return plain(s3_bucket_check(a->s, e));
    if (strcmp(w, "make") == 0)
        return plain(s3_bucket_make(a->s, e));
    return err_set(e, ERR_USAGE, "no such word: %s", w);
}

static void split(struct asker *a, char *line)
{
    static char nothing[1];

    a->n = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *p = line; p != NULL && a->n < WORDS_MAX - 1; a->n++) {
        a->word[a->n] = p;
        p = strchr(p, '\t');
        if (p != NULL)
            *p++ = '\0';
    }
    for (unsigned i = a->n; i < WORDS_MAX; i++)
        a->word[i] = nothing;
}

static void tell(const struct err *e)
{
    printf("err\t%d\t%d\t%s\t%s\n", (int)e->kind, err_exit(e), e->msg, e->hint);
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];
    struct s3_site site AUTO(s3_site_free) = S3_SITE_INIT;
    struct s3_asked asked = { .virtual_host = false };
    struct s3_opts opts = { .retry_s = 0 };
    struct asker a = { .s = NULL };
    struct err e = ERR_INIT;

    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "virtual") == 0)
            asked.virtual_host = true;
        if (strncmp(argv[i], "retry=", 6) == 0)
            opts.retry_s = (unsigned)strtoul(argv[i] + 6, NULL, 10);
        if (strncmp(argv[i], "answer=", 7) == 0)
            opts.answer_s = (unsigned)strtoul(argv[i] + 7, NULL, 10);
        if (strncmp(argv[i], "silent=", 7) == 0)
            opts.silent_s = (unsigned)strtoul(argv[i] + 7, NULL, 10);
        if (strncmp(argv[i], "profile=", 8) == 0)
            asked.profile = argv[i] + 8;
    }
    log_set_name("s3ask");
    log_set_level(LOG_DEBUG);
    if (s3_site_find(&site, &asked, &e) == 0)
        a.s = s3_open(&site, argv[1], &opts, &e);
    if (a.s == NULL) {
        tell(&e);
        return err_exit(&e);
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        split(&a, line);
        err_clear(&e);
        if (run(&a, &e) != 0)
            tell(&e);
        fflush(stdout);
    }
    s3_close(a.s);
    return 0;
}

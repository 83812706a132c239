#include "s3/answer.h"

#include <stdio.h>
#include <strings.h>

#include "net/content_range.h"
#include "s3/stamp.h"
#include "s3/xml.h"

enum { FIELDS_MAX = 12, FIELD_BYTES_MAX = 4 * S3_KEY_MAX };

/* A place in the document, and what stood there last. */
struct field {
    const char *path;
    bool seen;
    struct buf text;
};

#define FIELD(place)                                                           \
    {                                                                          \
        .path = (place), .text = BUF_INIT(FIELD_BYTES_MAX)                     \
    }

struct table {
    const char *root;
    const char *rows[2]; /* elements that are a row when they end; or NULL */
    struct field field[FIELDS_MAX];
    int (*row)(void *arg, struct table *t, unsigned which, struct err *e);
    void *arg;
};

static void table_free(struct table *t)
{
    for (size_t i = 0; i < FIELDS_MAX; i++)
        buf_free(&t->field[i].text);
}

/* What stood at the place number i; NULL: nothing. */
static const char *at(const struct table *t, size_t i)
{
    return t->field[i].seen ? t->field[i].text.p : NULL;
}

static int fill(struct table *t, const struct xml *x, struct err *e)
{
    for (size_t i = 0; i < FIELDS_MAX && t->field[i].path != NULL; i++) {
        struct field *f = &t->field[i];

        if (!xml_at(x, f->path))
            continue;
        if (memchr(x->text.p, '\0', x->text.len) != NULL)
            return err_set(e, ERR_REFUSED, "a text with a NUL in it");
        buf_clear(&f->text);
        buf_put(&f->text, x->text.p, x->text.len);
        f->seen = true;
        return buf_check(&f->text, e);
    }
    return 0;
}

static void forget_below(struct table *t, const char *row)
{
    for (size_t i = 0; i < FIELDS_MAX && t->field[i].path != NULL; i++)
        if (strncmp(t->field[i].path, row, strlen(row)) == 0)
            t->field[i].seen = false;
}

static int close_one(
    struct table *t, const struct xml *x, bool tell, struct err *e)
{
    int rc = fill(t, x, e);

    for (unsigned i = 0; i < ARRAY_LEN(t->rows) && rc == 0; i++) {
        if (t->rows[i] == NULL || !xml_at(x, t->rows[i]))
            continue;
        if (tell)
            rc = t->row(t->arg, t, i, e);
        forget_below(t, t->rows[i]);
    }
    return rc;
}

/* All of it, once; rows are told or not. */
static int walk(struct table *t, struct str xml, bool tell, struct err *e)
{
    struct xml x AUTO(xml_free) = xml_begin(xml);
    int rc = 0;

    while (rc == 0) {
        switch (xml_next(&x, e)) {
        case XML_BAD:
            return -1;
        case XML_END:
            return 0;
        case XML_OPEN:
            if (x.depth == 1 && !xml_at(&x, t->root))
                return err_set(e, ERR_REFUSED, "%s was to come, and %.*s came",
                    t->root, (int)size_min(x.names[0].len, 60), x.names[0].p);
            break;
        case XML_CLOSE:
            rc = close_one(t, &x, tell, e);
            break;
        }
    }
    return rc;
}

/* Nothing is told of a page that is malformed further down. */
static int read_page(struct table *t, struct str xml, struct err *e)
{
    int rc = walk(t, xml, false, e);

    return rc != 0 ? rc : walk(t, xml, true, e);
}

/* ---- values ---- */

void answer_etag(char out[S3_ETAG_MAX], const char *text)
{
    struct str s = str_of(text != NULL ? text : "");

    if (str_starts(s, "W/"))
        s = (struct str){ s.p + 2, s.len - 2 };
    if (s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"')
        s = (struct str){ s.p + 1, s.len - 2 };
    if (s.len >= S3_ETAG_MAX)
        s.len = 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"')
            s.len = 0;
    memcpy(out, s.p, s.len);
    out[s.len] = '\0';
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; false: a NUL, or no such encoding. */
static bool url_decode(char *text)
{
    char *to = text;

    for (const char *p = text; *p != '\0'; p++) {
        int high, low;

        if (*p != '%') {
            *to++ = *p == '+' ? ' ' : *p;
            continue;
        }
        high = hex_of(p[1]);
        low = high >= 0 ? hex_of(p[2]) : -1;
        if (low < 0 || high + low == 0)
            return false;
        *to++ = (char)(high * 16 + low);
        p += 2;
    }
    *to = '\0';
    return true;
}

static int set_mark(char *out, size_t out_len, const char *text, struct err *e)
{
    if (text == NULL)
        text = "";
    if (strlen(text) >= out_len)
        return err_set(e, ERR_REFUSED, "the mark of the next page is too long");
    snprintf(out, out_len, "%s", text);
    return 0;
}

static int64_t time_of(const char *text)
{
    int64_t s = 0;

    if (text != NULL)
        stamp_iso(str_of(text), &s);
    return s;
}

static bool is_true(const char *text)
{
    return text != NULL && strcasecmp(text, "true") == 0;
}

/* A page that has no more must not be asked for for ever. */
static int set_page(struct answer_page *page, const char *more,
    const char *mark, const char *mark2, struct err *e)
{
    page->more = is_true(more);
    if (set_mark(page->mark, sizeof(page->mark), mark, e) != 0 ||
        set_mark(page->mark2, sizeof(page->mark2), mark2, e) != 0)
        return -1;
    if (page->more && page->mark[0] == '\0')
        return err_set(e, ERR_REFUSED, "more is to come, and not from where");
    return 0;
}

/* ---- an error ---- */

static void visible(char *out, size_t out_len, const struct xml *x)
{
    snprintf(out, out_len, "%.*s", (int)size_min(x->text.len, out_len - 1),
        x->text.p);
}

bool answer_is_error(struct str xml, struct answer_error *out)
{
    struct xml x AUTO(xml_free) = xml_begin(xml);
    struct err ignored = ERR_INIT;
    enum xml_event ev;

    *out = (struct answer_error){ .code = "" };
    while ((ev = xml_next(&x, &ignored)) == XML_OPEN || ev == XML_CLOSE) {
        if (ev == XML_OPEN && x.depth == 1 && !xml_at(&x, "Error"))
            return false;
        if (ev != XML_CLOSE)
            continue;
        if (xml_at(&x, "Error/Code"))
            visible(out->code, sizeof(out->code), &x);
        else if (xml_at(&x, "Error/Message"))
            visible(out->message, sizeof(out->message), &x);
        else if (xml_at(&x, "Error/Region"))
            visible(out->region, sizeof(out->region), &x);
        else if (xml_at(&x, "Error/Endpoint"))
            visible(out->endpoint, sizeof(out->endpoint), &x);
    }
    return x.rooted;
}

int answer_word(
    struct str xml, const char *path, char *out, size_t out_len, struct err *e)
{
    char root[64];
    struct table t AUTO(table_free) = { .field = { FIELD(path) } };

    snprintf(root, sizeof(root), "%.*s", (int)strcspn(path, "/"), path);
    t.root = root;
    if (walk(&t, xml, false, e) != 0)
        return -1;
    if (at(&t, 0) == NULL || t.field[0].text.len == 0 ||
        t.field[0].text.len >= out_len)
        return err_set(e, ERR_REFUSED, "there is no %s in the answer", path);
    snprintf(out, out_len, "%s", at(&t, 0));
    return 0;
}

int answer_is(struct str xml, const char *root, struct err *e)
{
    struct table t AUTO(table_free) = { .root = root };

    return walk(&t, xml, false, e);
}

/* ---- keys ---- */

enum {
    LIST_CODING,
    LIST_MORE,
    LIST_MARK,
    LIST_KEY,
    LIST_SIZE,
    LIST_ETAG,
    LIST_TIME,
    LIST_FOLDER
};

struct listing {
    const struct s3_list *l;
    struct answer_page *page;
    bool coded;
};

static int list_row(void *arg, struct table *t, unsigned which, struct err *e)
{
    const struct listing *g = arg;
    char *name = t->field[which == 0 ? LIST_KEY : LIST_FOLDER].text.p;
    struct s3_entry entry = { .key = name, .folder = which == 1 };
    char etag[S3_ETAG_MAX];

    if (at(t, which == 0 ? LIST_KEY : LIST_FOLDER) == NULL || name[0] == '\0')
        return err_set(e, ERR_REFUSED, "a row of the list has no key");
    if (g->coded && !url_decode(name))
        return err_set(e, ERR_REFUSED, "a key is not encoded as it should be");
    /* Callers cut the prefix off, and remove what they find below it. */
    if (g->l->prefix != NULL && !str_starts(str_of(name), g->l->prefix))
        return err_set(e, ERR_REFUSED, "the list has keys of another place");
    if (which == 0 && (at(t, LIST_SIZE) == NULL ||
                          !content_length(at(t, LIST_SIZE), &entry.size)))
        return err_set(e, ERR_REFUSED, "a key of the list has no size");
    answer_etag(etag, at(t, LIST_ETAG));
    entry.etag = etag;
    entry.modified_s = time_of(at(t, LIST_TIME));
    g->page->ended = g->l->entry(g->l->arg, &entry, e);
    return g->page->ended;
}

int answer_list(struct str xml, const struct s3_list *l,
    struct answer_page *page, struct err *e)
{
    struct listing g = { .l = l, .page = page };
    struct table t AUTO(table_free) = {
        .root = "ListBucketResult",
        .rows = { "ListBucketResult/Contents",
            "ListBucketResult/CommonPrefixes" },
        .field = {
            [LIST_CODING] = FIELD("ListBucketResult/EncodingType"),
            [LIST_MORE] = FIELD("ListBucketResult/IsTruncated"),
            [LIST_MARK] = FIELD("ListBucketResult/NextContinuationToken"),
            [LIST_KEY] = FIELD("ListBucketResult/Contents/Key"),
            [LIST_SIZE] = FIELD("ListBucketResult/Contents/Size"),
            [LIST_ETAG] = FIELD("ListBucketResult/Contents/ETag"),
            [LIST_TIME] = FIELD("ListBucketResult/Contents/LastModified"),
            [LIST_FOLDER] = FIELD("ListBucketResult/CommonPrefixes/Prefix"),
        },
        .row = list_row,
        .arg = &g,
    };

    if (walk(&t, xml, false, e) != 0)
        return -1;
    g.coded = at(&t, LIST_CODING) != NULL &&
              strcasecmp(at(&t, LIST_CODING), "url") == 0;
    if (set_page(page, at(&t, LIST_MORE), at(&t, LIST_MARK), NULL, e) != 0)
        return -1;
    return walk(&t, xml, true, e);
}

/* ---- parts ---- */

enum { PART_MORE, PART_MARK, PART_NUMBER, PART_SIZE, PART_ETAG };

struct parting {
    int (*part)(void *arg, const struct s3_part *part, struct err *e);
    void *arg;
};

static int part_row(void *arg, struct table *t, unsigned which, struct err *e)
{
    const struct parting *g = arg;
    struct s3_part part = { .number = 0 };
    uint64_t number;

    (void)which;
    if (at(t, PART_NUMBER) == NULL || at(t, PART_SIZE) == NULL ||
        !content_length(at(t, PART_NUMBER), &number) || number < 1 ||
        number > S3_PARTS_MAX || !content_length(at(t, PART_SIZE), &part.size))
        return err_set(e, ERR_REFUSED, "a part has no number, or no size");
    part.number = (unsigned)number;
    answer_etag(part.etag, at(t, PART_ETAG));
    return g->part(g->arg, &part, e);
}

int answer_parts(struct str xml,
    int (*part)(void *arg, const struct s3_part *part, struct err *e),
    void *arg, struct answer_page *page, struct err *e)
{
    struct parting g = { part, arg };
    struct table t AUTO(table_free) = {
        .root = "ListPartsResult",
        .rows = { "ListPartsResult/Part" },
        .field = {
            [PART_MORE] = FIELD("ListPartsResult/IsTruncated"),
            [PART_MARK] = FIELD("ListPartsResult/NextPartNumberMarker"),
            [PART_NUMBER] = FIELD("ListPartsResult/Part/PartNumber"),
            [PART_SIZE] = FIELD("ListPartsResult/Part/Size"),
            [PART_ETAG] = FIELD("ListPartsResult/Part/ETag"),
        },
        .row = part_row,
        .arg = &g,
    };
    int rc = read_page(&t, xml, e);

    return rc != 0
               ? rc
               : set_page(page, at(&t, PART_MORE), at(&t, PART_MARK), NULL, e);
}

/* ---- uploads ---- */

enum { UP_MORE, UP_MARK, UP_MARK2, UP_CODING, UP_KEY, UP_ID, UP_TIME };

struct uploading {
    int (*found)(void *arg, const struct s3_upload *upload, struct err *e);
    void *arg;
    struct answer_page *page;
    bool coded;
};

static int upload_row(void *arg, struct table *t, unsigned which, struct err *e)
{
    const struct uploading *g = arg;
    struct s3_upload u = { .key = at(t, UP_KEY), .upload = at(t, UP_ID) };

    (void)which;
    if (u.key == NULL || u.upload == NULL || u.key[0] == '\0' ||
        u.upload[0] == '\0' || strlen(u.upload) >= S3_UPLOAD_MAX)
        return err_set(e, ERR_REFUSED, "an upload has no key, or no id");
    if (g->coded && !url_decode(t->field[UP_KEY].text.p))
        return err_set(e, ERR_REFUSED, "a key is not encoded as it should be");
    u.begun_s = time_of(at(t, UP_TIME));
    g->page->ended = g->found(g->arg, &u, e);
    return g->page->ended;
}

int answer_uploads(struct str xml,
    int (*found)(void *arg, const struct s3_upload *upload, struct err *e),
    void *arg, struct answer_page *page, struct err *e)
{
    struct uploading g = { .found = found, .arg = arg, .page = page };
    struct table t AUTO(table_free) = {
        .root = "ListMultipartUploadsResult",
        .rows = { "ListMultipartUploadsResult/Upload" },
        .field = {
            [UP_MORE] = FIELD("ListMultipartUploadsResult/IsTruncated"),
            [UP_MARK] = FIELD("ListMultipartUploadsResult/NextKeyMarker"),
            [UP_MARK2] =
                FIELD("ListMultipartUploadsResult/NextUploadIdMarker"),
            [UP_CODING] = FIELD("ListMultipartUploadsResult/EncodingType"),
            [UP_KEY] = FIELD("ListMultipartUploadsResult/Upload/Key"),
            [UP_ID] = FIELD("ListMultipartUploadsResult/Upload/UploadId"),
            [UP_TIME] = FIELD("ListMultipartUploadsResult/Upload/Initiated"),
        },
        .row = upload_row,
        .arg = &g,
    };

    if (walk(&t, xml, false, e) != 0)
        return -1;
    g.coded =
        at(&t, UP_CODING) != NULL && strcasecmp(at(&t, UP_CODING), "url") == 0;
    if (g.coded && at(&t, UP_MARK) != NULL &&
        !url_decode(t.field[UP_MARK].text.p))
        return err_set(e, ERR_REFUSED, "the next page's key is malformed");
    if (set_page(page, at(&t, UP_MORE), at(&t, UP_MARK), at(&t, UP_MARK2), e) !=
        0)
        return -1;
    return walk(&t, xml, true, e);
}

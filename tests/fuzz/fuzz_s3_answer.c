/*
 * What a store says in XML. The first byte chooses how it is read. Whatever is
 * told is told after all of it was well-formed, and is what a row promises: a
 * key without a NUL, a tag without quotes, a number in its range, a mark where
 * more is to come; read twice it is the same. The reader itself ends after
 * the last byte, and closes what it opens.
 */
// seeds: tests/fuzz/s3_answer/*
// dict: s3_answer.dict
#include "kit.h"

#include <stdlib.h>

#include "s3/answer.h"
#include "s3/stamp.h"
#include "s3/xml.h"

struct told {
    unsigned rows;
    uint64_t sum; /* of all bytes of all rows */
};

static void add_text(struct told *t, const char *text)
{
    for (; *text != '\0'; text++)
        t->sum = t->sum * 31 + (unsigned char)*text;
}

static int note_entry(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct told *t = arg;

    (void)e;
    must(entry->key[0] != '\0' && strlen(entry->etag) < S3_ETAG_MAX);
    must(strchr(entry->etag, '"') == NULL);
    add_text(t, entry->key);
    t->sum += entry->size;
    t->rows++;
    return 0;
}

static int note_part(void *arg, const struct s3_part *part, struct err *e)
{
    struct told *t = arg;

    (void)e;
    must(part->number >= 1 && part->number <= S3_PARTS_MAX);
    add_text(t, part->etag);
    t->sum += part->size;
    t->rows++;
    return 0;
}

static int note_upload(void *arg, const struct s3_upload *u, struct err *e)
{
    struct told *t = arg;

    (void)e;
    must(u->key[0] != '\0' && u->upload[0] != '\0');
    must(strlen(u->upload) < S3_UPLOAD_MAX);
    add_text(t, u->key);
    add_text(t, u->upload);
    t->rows++;
    return 0;
}

static int read_rows(char how, struct str xml, struct told *t)
{
    struct s3_list l = { .entry = note_entry, .arg = t };
    struct answer_page page = { .more = false };
    struct err e = ERR_INIT;
    int rc;

    *t = (struct told){ .rows = 0 };
    if (how == 'l')
        rc = answer_list(xml, &l, &page, &e);
    else if (how == 'p')
        rc = answer_parts(xml, note_part, t, &page, &e);
    else
        rc = answer_uploads(xml, note_upload, t, &page, &e);
    must((rc == 0) == (e.kind == ERR_NONE));
    must(rc != 0 || !page.more || page.mark[0] != '\0');
    return rc;
}

static void read_error(struct str xml)
{
    struct answer_error a;
    char word[64], etag[S3_ETAG_MAX];
    struct err e = ERR_INIT;
    int64_t s;

    answer_is_error(xml, &a);
    must(strlen(a.code) < sizeof(a.code));
    if (answer_word(xml, "Error/Code", word, sizeof(word), &e) == 0)
        must(word[0] != '\0');
    answer_etag(etag, a.message);
    stamp_iso(str_of(a.message), &s);
    stamp_http(str_of(a.message), &s);
}

/* The reader alone: what opens closes, in order, and then it ends. */
static void walk(struct str xml)
{
    struct xml x AUTO(xml_free) = xml_begin(xml);
    struct err e = ERR_INIT;
    unsigned open = 0;
    size_t steps = 0;

    for (;;) {
        enum xml_event ev = xml_next(&x, &e);

        must(x.depth <= XML_DEPTH_MAX && ++steps <= 2 * xml.len + 2);
        if (ev == XML_OPEN) {
            must(x.depth == ++open);
        } else if (ev == XML_CLOSE) {
            must(x.depth == open--);
            must(x.text.len <= XML_TEXT_MAX);
        } else {
            must(ev == XML_END ? open == 0 && x.at == xml.len
                               : e.kind == ERR_REFUSED);
            must(ev == XML_END || xml_next(&x, &e) == XML_BAD);
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told once, twice;
    struct str xml;
    char how;

    if (size == 0)
        return 0;
    how = (char)data[0];
    /* Memory of its own: a byte beyond it is found. */
    xml.len = size - 1;
    xml.p = malloc(xml.len > 0 ? xml.len : 1);
    must(xml.p != NULL);
    memcpy((void *)(uintptr_t)xml.p, data + 1, xml.len);
    walk(xml);
    if (how == 'e') {
        read_error(xml);
    } else {
        int rc = read_rows(how, xml, &once);

        must(rc == read_rows(how, xml, &twice));
        must(once.rows == twice.rows && once.sum == twice.sum);
    }
    free((void *)(uintptr_t)xml.p);
    return 0;
}

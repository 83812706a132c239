#include "verify-run/spmodel.h"

#include <math.h>

#include "base/rd.h"
#include "base/utf8.h"
#include "verify-run/vocab.h"

/* One field of a message. */
struct field {
    uint64_t at; /* in the file */
    uint32_t number;
    unsigned wire;
    uint64_t value;   /* VARINT, FIXED32, FIXED64 */
    struct str bytes; /* BYTES */
    uint64_t bytes_at;
};

enum wire {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5
};

/* A message, and where its bytes stand in the file. */
struct message {
    struct rd r;
    uint64_t base;
};

enum { PIECE_BYTES_MAX = 1 << 12 };

static uint64_t varint(struct rd *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b = rd_u8(r);

        /* Of the tenth byte only one bit has a place. */
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80)
            return v;
    }
    r->bad = true;
    return 0;
}

static void read_value(struct message *m, struct field *f)
{
    struct rd *r = &m->r;
    uint64_t len;

    switch (f->wire) {
    case WIRE_VARINT:
        f->value = varint(r);
        break;
    case WIRE_FIXED64:
        f->value = rd_u64(r);
        break;
    case WIRE_FIXED32:
        f->value = rd_u32(r);
        break;
    case WIRE_BYTES:
        len = varint(r);
        f->bytes_at = m->base + r->pos;
        f->bytes = (struct str){ (const char *)rd_bytes(r, len), (size_t)len };
        break;
    default:
        r->bad = true;
    }
}

/* The next field: 1, 0 at the end of the message, -1 with *e. */
static int next_field(struct message *m, struct field *f, struct err *e)
{
    uint64_t key;

    if (rd_left(&m->r) == 0)
        return 0;
    *f = (struct field){ .at = m->base + m->r.pos };
    key = varint(&m->r);
    f->number = (uint32_t)(key >> 3);
    f->wire = (unsigned)(key & 7);
    if (!m->r.bad && f->number != 0 && key <= UINT32_MAX)
        read_value(m, f);
    else
        m->r.bad = true;
    if (m->r.bad)
        return err_set(e, ERR_REFUSED,
            "no SentencePiece model: at byte %llu stands no field of a "
            "protocol buffer that ends in its message",
            (unsigned long long)f->at);
    return 1;
}

static int wrong_wire(const struct field *f, const char *name, struct err *e)
{
    return err_set(e, ERR_REFUSED,
        "the field '%s' at byte %llu has wire type "
        "%u",
        name, (unsigned long long)f->at, f->wire);
}

static int get_bytes(
    const struct field *f, const char *name, struct str *out, struct err *e)
{
    if (f->wire != WIRE_BYTES)
        return wrong_wire(f, name, e);
    *out = f->bytes;
    return 0;
}

static int get_kept(const struct field *f, const char *name, struct str *out,
    struct arena *arena, struct err *e)
{
    if (get_bytes(f, name, out, e) != 0)
        return -1;
    *out = arena_str(arena, *out, e);
    return out->p == NULL ? -1 : 0;
}

static int get_bool(
    const struct field *f, const char *name, bool *out, struct err *e)
{
    if (f->wire != WIRE_VARINT)
        return wrong_wire(f, name, e);
    *out = f->value != 0;
    return 0;
}

/* Negative ones are written as if they had 64 bits. */
static int get_int(
    const struct field *f, const char *name, int32_t *out, struct err *e)
{
    if (f->wire != WIRE_VARINT)
        return wrong_wire(f, name, e);
    *out = (int32_t)(uint32_t)f->value;
    if ((uint64_t)(int64_t)*out != f->value && f->value > UINT32_MAX)
        return err_set(e, ERR_REFUSED, "the field '%s' at byte %llu is %llu",
            name, (unsigned long long)f->at, (unsigned long long)f->value);
    return 0;
}

static bool is_text(struct str s)
{
    uint32_t cp;

    while (s.len > 0) {
        unsigned n = utf8_get(s, &cp);

        if (n == 0 || cp == 0)
            return false;
        s.p += n;
        s.len -= n;
    }
    return true;
}

static float float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float f;

    memcpy(&f, &low, sizeof(f));
    return f;
}

/* ---- the messages ---- */

static int check_piece(
    const struct sp_piece *p, uint32_t id, uint64_t at, struct err *e)
{
    if (p->text.len == 0 || p->text.len > PIECE_BYTES_MAX || !is_text(p->text))
        return err_set(e, ERR_REFUSED,
            "piece %u at byte %llu has no text of 1 to %d bytes in UTF-8", id,
            (unsigned long long)at, PIECE_BYTES_MAX);
    if (!isfinite(p->score))
        return err_set(e, ERR_REFUSED,
            "piece %u '%.100s' at byte %llu has a score that is not finite", id,
            p->text.p, (unsigned long long)at);
    return 0;
}

static int read_piece(struct sp_piece *p, uint32_t id, struct message m,
    struct arena *arena, struct err *e)
{
    struct field f;
    int32_t type = SP_NORMAL;
    int rc;

    *p = (struct sp_piece){ .type = SP_NORMAL };
    while ((rc = next_field(&m, &f, e)) > 0) {
        if (f.number == 1)
            rc = get_kept(&f, "piece", &p->text, arena, e);
        else if (f.number == 2 && f.wire != WIRE_FIXED32)
            rc = wrong_wire(&f, "score", e);
        else if (f.number == 2)
            p->score = float_of(f.value);
        else if (f.number == 3)
            rc = get_int(&f, "type", &type, e);
        if (rc < 0)
            return -1;
    }
    if (rc < 0)
        return -1;
    if (type < SP_NORMAL || type > SP_BYTE)
        return err_set(e, ERR_REFUSED, "piece %u at byte %llu has the type %d",
            id, (unsigned long long)m.base, type);
    p->type = (enum sp_type)type;
    return check_piece(p, id, m.base, e);
}

static int read_trainer(
    struct spmodel *m, struct message in, struct arena *arena, struct err *e)
{
    struct field f;
    int32_t kind = SP_UNIGRAM;
    int rc;

    while ((rc = next_field(&in, &f, e)) > 0) {
        switch (f.number) {
        case 3:
            rc = get_int(&f, "model_type", &kind, e);
            break;
        case 24:
            rc = get_bool(&f, "treat_whitespace_as_suffix", &m->suffix, e);
            break;
        case 35:
            rc = get_bool(&f, "byte_fallback", &m->byte_fallback, e);
            break;
        case 40:
            rc = get_int(&f, "unk_id", &m->unk, e);
            break;
        case 41:
            rc = get_int(&f, "bos_id", &m->bos, e);
            break;
        case 42:
            rc = get_int(&f, "eos_id", &m->eos, e);
            break;
        case 44:
            rc = get_kept(&f, "unk_surface", &m->unk_surface, arena, e);
            break;
        default:
            break;
        }
        if (rc < 0)
            return -1;
    }
    if (rc == 0 && !is_text(m->unk_surface))
        return err_set(e, ERR_REFUSED, "the trainer's unk_surface is no UTF-8");
    if (rc == 0 && (kind < SP_UNIGRAM || kind > SP_CHAR))
        return err_set(e, ERR_REFUSED,
            "the trainer's model_type is %d, no kind of model", kind);
    m->kind = (enum sp_kind)kind;
    return rc;
}

static int read_normalizer(
    struct spmodel *m, struct message in, struct arena *arena, struct err *e)
{
    struct field f;
    int rc;

    while ((rc = next_field(&in, &f, e)) > 0) {
        switch (f.number) {
        case 2:
            rc = get_kept(&f, "precompiled_charsmap", &m->charsmap, arena, e);
            break;
        case 3:
            rc = get_bool(&f, "add_dummy_prefix", &m->dummy_prefix, e);
            break;
        case 4:
            rc = get_bool(&f, "remove_extra_whitespaces", &m->tidy, e);
            break;
        case 5:
            rc = get_bool(&f, "escape_whitespaces", &m->escape, e);
            break;
        default:
            break;
        }
        if (rc < 0)
            return -1;
    }
    return rc;
}

static int read_denormalizer(
    struct spmodel *m, struct message in, struct arena *arena, struct err *e)
{
    struct field f;
    int rc;

    while ((rc = next_field(&in, &f, e)) > 0)
        if (f.number == 2 && get_kept(&f, "precompiled_charsmap",
                                 &m->denormalizer, arena, e) != 0)
            return -1;
    return rc;
}

static int read_part(struct spmodel *m, const struct field *f,
    struct arena *arena, struct err *e)
{
    static const char *const names[] = { "", "pieces", "trainer_spec",
        "normalizer_spec", "self_test_data", "denormalizer_spec" };
    struct message in;

    if (f->number >= ARRAY_LEN(names))
        return 0;
    if (f->wire != WIRE_BYTES)
        return wrong_wire(f, names[f->number], e);
    in = (struct message){ .r = rd_of(f->bytes.p, f->bytes.len),
        .base = f->bytes_at };
    switch (f->number) {
    case 1:
        m->n++;
        return read_piece(&m->pieces[m->n - 1], m->n - 1, in, arena, e);
    case 2:
        return read_trainer(m, in, arena, e);
    case 3:
        return read_normalizer(m, in, arena, e);
    case 5:
        return read_denormalizer(m, in, arena, e);
    default:
        return 0;
    }
}

static int count_pieces(struct str bytes, uint32_t *n, struct err *e)
{
    struct message m = { .r = rd_of(bytes.p, bytes.len) };
    struct field f;
    int rc;

    while ((rc = next_field(&m, &f, e)) > 0)
        *n += f.number == 1;
    if (rc == 0 && (*n == 0 || *n > VOCAB_MAX))
        return err_set(
            e, ERR_REFUSED, "a SentencePiece model with %u pieces", *n);
    return rc;
}

int spmodel_parse(
    struct spmodel *m, struct str bytes, struct arena *arena, struct err *e)
{
    struct message in = { .r = rd_of(bytes.p, bytes.len) };
    struct field f;
    uint32_t n = 0;
    int rc;

    *m = (struct spmodel){ .kind = SP_UNIGRAM,
        .unk = 0,
        .bos = 1,
        .eos = 2,
        .unk_surface = str_of(" \xE2\x81\x87 "),
        .dummy_prefix = true,
        .tidy = true,
        .escape = true };
    if (count_pieces(bytes, &n, e) != 0)
        return -1;
    m->pieces = arena_alloc(arena, n, sizeof(*m->pieces), e);
    if (m->pieces == NULL)
        return -1;
    while ((rc = next_field(&in, &f, e)) > 0)
        if (read_part(m, &f, arena, e) != 0)
            return -1;
    return rc;
}

/* The first field is a piece, and its first field a text. */
bool spmodel_looks(struct str bytes)
{
    struct err e = ERR_INIT;
    struct message m = { .r = rd_of(bytes.p, bytes.len) };
    struct field f;

    return bytes.len > 0 && bytes.p[0] == '\n' && next_field(&m, &f, &e) > 0 &&
           f.bytes.len > 0 && f.bytes.p[0] == '\n';
}

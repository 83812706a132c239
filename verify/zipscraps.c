#include "verify/zipscraps.h"

#include "base/rd.h"

enum { SCRAPS_MAX = 64, SKIP_TO_METHOD = 4, SKIP_TO_NAME_LEN = 16 };

static const uint8_t signature[] = { 'P', 'K', 3, 4 };

bool zip_name_is_pickle(struct str name)
{
    return str_ends(name, ".pkl") || str_ends(name, ".pickle") ||
           str_ends(name, ".PKL");
}

static bool read_header(struct zip_scrap *s, struct rd *r)
{
    uint64_t method, name_len, extra_len;
    const uint8_t *name;

    rd_bytes(r, SKIP_TO_METHOD);
    method = rd_u16(r);
    rd_bytes(r, SKIP_TO_NAME_LEN);
    name_len = rd_u16(r);
    extra_len = rd_u16(r);
    name = rd_bytes(r, name_len);
    rd_bytes(r, extra_len);
    if (r->bad || method != 0)
        return false;
    s->name = (struct str){ (const char *)name, name_len };
    s->data_at = r->pos;
    return zip_name_is_pickle(s->name);
}

bool zip_scrap_next(struct zip_scrap *s, const uint8_t *bytes, uint64_t len)
{
    while (s->found < SCRAPS_MAX && s->next < len) {
        const uint8_t *at = memmem(
            bytes + s->next, len - s->next, signature, sizeof(signature));
        struct rd r = rd_of(bytes, len);

        if (at == NULL)
            return false;
        s->next = (uint64_t)(at - bytes) + sizeof(signature);
        rd_seek(&r, s->next);
        if (read_header(s, &r)) {
            s->found++;
            return true;
        }
    }
    return false;
}

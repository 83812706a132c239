#include "formats/index.h"

#include "base/err.h"
#include "tests/unit/tap.h"

static const struct {
    const char *why, *text;
} bad[] = {
    { "no weight_map", "{\"metadata\":{}}" },
    { "an empty one", "{\"weight_map\":{}}" },
    { "one that is a list", "{\"weight_map\":[\"a\"]}" },
    { "a shard that is a number", "{\"weight_map\":{\"a\":1}}" },
    { "a parent folder", "{\"weight_map\":{\"a\":\"../x.bin\"}}" },
    { "two dots", "{\"weight_map\":{\"a\":\"..\"}}" },
    { "a folder", "{\"weight_map\":{\"a\":\"b/x.bin\"}}" },
    { "an absolute path", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}" },
    { "a backslash", "{\"weight_map\":{\"a\":\"b\\\\x.bin\"}}" },
    { "a drive", "{\"weight_map\":{\"a\":\"c:x.bin\"}}" },
    { "no name", "{\"weight_map\":{\"a\":\"\"}}" },
    { "a line end", "{\"weight_map\":{\"a\":\"x\\n\"}}" },
    { "a tensor twice", "{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}" },
    { "two documents", "{\"weight_map\":{\"a\":\"x\"}}{}" },
    { "an array", "[]" },
    { "nothing", "" },
};

int main(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct weight_index x;
    struct err e = ERR_INIT;

    ok(index_parse(&x,
           str_of("{\"metadata\":{\"total_size\":13731385408.0},"
                  "\"weight_map\":{\"b\":\"m_00002.bin\","
                  "\"a\":\"m_00002.bin\",\"c\":\"m_00001.bin\"}}"),
           &arena, &e) == 0,
        "an index as they are in the wild, total_size a float");
    ok(x.n == 3 && str_is(x.entries[0].tensor, "a") &&
            str_is(x.entries[2].tensor, "c"),
        "tensors by name");
    ok(x.n_shards == 2 && str_is(x.shards[0], "m_00001.bin") &&
            str_is(x.shards[1], "m_00002.bin"),
        "shards by name, each once");
    ok(x.entries[0].shard == 1 && x.entries[1].shard == 1 &&
            x.entries[2].shard == 0,
        "and who is where");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e = (struct err)ERR_INIT;
        ok(index_parse(&x, str_of(bad[i].text), &arena, &e) == -1 &&
                e.kind == ERR_REFUSED,
            "%s: refused", bad[i].why);
    }
    return done();
}

/*
 * component.h - the parts of a tokenizer.json: objects with a type, nested
 * in sequences. Refusals name the part and the member; an unknown type is
 * UNSUPPORTED with its name.
 */
#ifndef VERIFY_RUN_COMPONENT_H
#define VERIFY_RUN_COMPONENT_H

#include "base/arena.h"
#include "base/json.h"

/* Of one kind; a text goes through all of them. */
enum { COMPONENTS_MAX = 1000 };

struct component {
    const char *part; /* "normalizer", "decoder" */
    const char *type; /* "NFC" */
    const struct json *v;
};

/* Where the parts read so far go. */
typedef int component_fn(
    void *arg, const struct component *c, struct arena *arena, struct err *e);

/*
 * component_each - call take for every part of v that is no sequence
 * part     its name in messages
 * list     the member that holds the parts of a Sequence
 * Nothing to do when v is NULL or null; REFUSED past COMPONENTS_MAX.
 */
int component_each(const struct json *v, const char *part, const char *list,
    component_fn *take, void *arg, struct arena *arena, struct err *e);

/* component_unknown - the refusal of a type. Returns -1. */
int component_unknown(const struct component *c, struct err *e);

/* component_kind - the type's place among n names, or -1: unknown, refused. */
int component_kind(const struct component *c, const char *const *names,
    size_t n, struct err *e);

/* component_str - a text member, copied into arena; it must be there. */
int component_str(const struct component *c, const char *key, struct str *out,
    struct arena *arena, struct err *e);

/* component_bool, component_count - a member that may be absent or null. */
int component_bool(
    const struct component *c, const char *key, bool *out, struct err *e);
int component_count(
    const struct component *c, const char *key, uint32_t *out, struct err *e);

/*
 * component_pattern - the member "pattern": {"String": ...} or {"Regex": ...}
 * Returns 0, or -1 with *e: REFUSED also when the text is empty
 */
int component_pattern(const struct component *c, struct str *out,
    bool *is_regex, struct arena *arena, struct err *e);

#endif

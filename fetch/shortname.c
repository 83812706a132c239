#include "fetch/shortname.h"

#include <stdio.h>

static const struct {
    const char *name;
    const char *id;
} names[] = {
    { "tinyllama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0" },
    { "llama3.2-1b", "meta-llama/Llama-3.2-1B-Instruct" },
    { "stablelm", "stabilityai/stablelm-2-1_6b-chat" },
    { "pythia-1b", "EleutherAI/pythia-1b" },
    { "pythia-12b", "EleutherAI/pythia-12b" },
};

int shortname_parse(struct repo *out, enum repo_type type, const char *revision,
    const char *text, struct err *e)
{
    size_t n = strcspn(text, "@");
    char full[512];

    for (size_t i = 0; type == REPO_MODEL && i < ARRAY_LEN(names); i++)
        if (str_is((struct str){ text, n }, names[i].name)) {
            snprintf(full, sizeof(full), "%s%.300s", names[i].id, text + n);
            text = full;
            break;
        }
    if (repo_parse(out, type, text, e) != 0)
        return -1;
    if (revision == NULL)
        return 0;
    if (strchr(text, '@') != NULL)
        return err_set(
            e, ERR_USAGE, "a revision in '%s' and in --revision", text);
    if (strlen(text) + 1 + strlen(revision) >= sizeof(full) ||
        revision[0] == '\0')
        return err_set(e, ERR_USAGE, "not a revision: '%.100s'", revision);
    snprintf(full, sizeof(full), "%.250s@%.256s", text, revision);
    return repo_parse(out, type, full, e);
}

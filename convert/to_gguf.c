#include "convert/to_gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/human.h"
#include "base/path.h"
#include "convert/company.h"
#include "convert/folder.h"
#include "convert/gguf_data.h"
#include "convert/gguf_vocab.h"
#include "convert/pipeline.h"

enum { VALUES_MAX = 1 << 30 };

/* What one conversion has open. */
struct to_gguf {
    const struct convert_opts *o;
    bool q8;
    struct found found;
    struct checkpoint c;
    struct sources sources;
    struct gguf_model model;
    struct gguf_writer values;
    struct gguf_plan plan;
    struct layout layout; /* of the file: its header and its size */
    struct gguf_data data;
};

static void to_gguf_free(struct to_gguf *g)
{
    layout_free(&g->layout);
    gguf_plan_free(&g->plan);
    gguf_writer_free(&g->values);
    sources_free(&g->sources);
    checkpoint_close(&g->c);
}

static bool is_gguf(const char *path)
{
    struct err ignored = ERR_INIT;
    int fd AUTO(fd_close) = file_open(path, NULL, &ignored);
    char magic[4];

    return fd >= 0 && file_read_at(fd, magic, 4, 0, path, &ignored) == 0 &&
           memcmp(magic, "GGUF", 4) == 0;
}

/* Replaced is what such a conversion could have made, and only if told so. */
static int check_place(const struct convert_opts *o, struct err *e)
{
    struct stat st;

    if (o->out == NULL || *o->out == '\0') {
        err_set(e, ERR_USAGE, "%s: no place to keep the GGUF file", o->source);
        return err_hint(e, "name it: -o OUT.gguf");
    }
    if (*path_base(o->out) == '\0')
        return err_set(e, ERR_USAGE, "%s: no name for a file", o->out);
    if (lstat(o->out, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", o->out);
    if (!o->force) {
        err_set(e, ERR_USAGE, "%s: exists", o->out);
        return err_hint(e, "choose another name, or replace an older GGUF "
                           "file with --force");
    }
    if (S_ISREG(st.st_mode) && is_gguf(o->out))
        return 0;
    err_set(e, ERR_USAGE, "%s: not replaced: it is no GGUF file", o->out);
    return err_hint(e, "remove it yourself, or choose another name");
}

static int open_source(struct to_gguf *g, struct err *e)
{
    struct checkpoint_opts opts = { .select = g->o->recipe.select };

    if (check_place(g->o, e) != 0 ||
        find_model(g->o->source, g->o->volume, &g->found, e) != 0 ||
        checkpoint_open(&g->c, g->found.path, &opts, e) != 0)
        return -1;
    return sources_list(&g->sources, &g->c, NULL, e);
}

static int read_model(struct to_gguf *g, struct json_doc *config, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(CONFIG_BYTES_MAX);

    if (company_config_text(&g->c, &text, e) != 0)
        return -1;
    if (text.len == 0) {
        err_set(e, ERR_MISSING, "%s: no %s", g->c.folder, COMPANY_CONFIG);
        return err_hint(e, "GGUF names the model's sizes: put its config.json "
                           "beside the weights");
    }
    if (json_parse(config, buf_str(&text), 0, e) != 0 ||
        gguf_model_parse(&g->model, config->root, e) != 0)
        return err_ctx(e, "%s/%s", g->c.folder, COMPANY_CONFIG);
    return 0;
}

static int put_values(
    struct to_gguf *g, const struct json *config, struct err *e)
{
    struct gguf_writer *w = &g->values;
    const struct gguf_vocab_opts opts = { g->c.folder, config, g->model.vocab };

    gguf_put_str(w, "general.architecture", str_of(g->model.family->arch));
    gguf_put_str(w, "general.type", str_of("model"));
    if (g->found.repository[0] != '\0')
        gguf_put_str(w, "general.name", str_of(g->found.repository));
    gguf_put_u32(w, "general.file_type", g->plan.file_type);
    if (g->q8)
        gguf_put_u32(w, "general.quantization_version", 2);
    gguf_model_put(&g->model, w);
    return gguf_vocab_put(w, &opts, e);
}

static int plan(struct to_gguf *g, struct err *e)
{
    struct json_doc config AUTO(json_free) = JSON_DOC_INIT;
    struct gguf_plan *p = &g->plan;

    if (read_model(g, &config, e) != 0)
        return -1;
    if (gguf_plan_make(p, &g->c, &g->model, &g->o->recipe, g->q8, e) != 0)
        return err_ctx(e, "%s", g->c.files[0].path);
    if (put_values(g, config.root, e) != 0)
        return -1;
    g->layout.header = (struct buf)BUF_INIT(2 * (size_t)VALUES_MAX);
    if (gguf_finish(&g->values, p->out, p->n, &g->layout.header,
            &g->layout.file_size, e) != 0)
        return err_ctx(e, "%s", g->o->out);
    g->data = (struct gguf_data){ &g->c, p, &g->o->recipe };
    g->layout.fill = gguf_data_fill;
    g->layout.fill_from = &g->data;
    return 0;
}

static int check_space(const struct to_gguf *g, struct err *e)
{
    uint64_t need = g->layout.file_size, room;
    char want[HUMAN_MAX], have[HUMAN_MAX];

    if (dir_free_space(g->o->out, &room, e) != 0)
        return -1;
    if (need <= room)
        return 0;
    return err_set(e, ERR_NOSPACE, "%s: needs %s, the disk has %s left",
        g->o->out, human_size(want, need), human_size(have, room));
}

static int write_file(
    struct to_gguf *g, struct pipeline_result *made, struct err *e)
{
    struct folder room AUTO(folder_abandon) = FOLDER_INIT;
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct pool *pool AUTO(pool_close_auto) = pipeline_pool(g->o->threads, e);
    struct progress *display AUTO(progress_close_auto) = NULL;
    struct sources none = SOURCES_INIT;
    struct progress_item *item;
    uint64_t size = g->layout.file_size;

    if (pool == NULL)
        return -1;
    display = progress_open(g->o->progress, "converting", size, e);
    if (display == NULL)
        return -1;
    item = progress_item(display, path_base(g->o->out), size);
    /* In a folder of its own: what a kill leaves is known and swept. */
    if (folder_begin(&room, g->o->out, e) != 0 ||
        file_new_begin_in(&f, room.tmp, g->o->out, e) != 0 ||
        pipeline_run(&g->c, &g->layout, &g->o->recipe, &none, pool, f.fd,
            g->o->out, size, item, made, e) != 0 ||
        sources_check(&g->sources, e) != 0)
        return -1;
    progress_done(item);
    /* Much time has passed since it was checked. */
    if (check_place(g->o, e) != 0)
        return -1;
    return file_new_commit(&f, 0644, e);
}

int to_gguf_run(const struct convert_opts *o, bool q8,
    struct convert_result *out, struct err *e)
{
    struct to_gguf g AUTO(to_gguf_free) = { .o = o,
        .q8 = q8,
        .c = CHECKPOINT_INIT,
        .sources = SOURCES_INIT,
        .values = GGUF_WRITER_INIT(VALUES_MAX),
        .plan = GGUF_PLAN_INIT,
        .layout = LAYOUT_INIT };
    struct pipeline_result made = { .unhashed = o->digests == DIGESTS_NONE };

    *out = (struct convert_result){ .held = false };
    if (open_source(&g, e) != 0 || plan(&g, e) != 0)
        return -1;
    folder_sweep(o->out);
    if (check_space(&g, e) != 0 || write_file(&g, &made, e) != 0)
        return -1;
    *out = (struct convert_result){ .sha256 = made.file,
        .size = g.layout.file_size,
        .n_files = 1,
        .n_tensors = g.plan.n };
    return path_fmt(out->path, e, "%s", o->out);
}

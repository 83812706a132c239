/*
 * company.h - the small files that make a folder of weights a model: config,
 * tokenizer, templates. They are carried along byte for byte, but for the
 * dtype named in config.json when the weights are cast, and the mark of int8.
 */
#ifndef CONVERT_COMPANY_H
#define CONVERT_COMPANY_H

#include "base/buf.h"
#include "convert/recipe.h"
#include "formats/alias.h"
#include "formats/checkpoint.h"
#include "formats/manifest.h"

enum {
    COMPANY_MAX = 16,
    COMPANY_BYTES_MAX = 256 << 20,
    CONFIG_BYTES_MAX = 16 << 20
};

#define COMPANY_CONFIG "config.json"

/* company_names - plain file names, ended by NULL; config.json is first. */
extern const char *const company_names[];

/* company_config_text - of the same config; "" when there is none. */
int company_config_text(
    const struct checkpoint *c, struct buf *out, struct err *e);

/*
 * company_report - one line about the configs inside the checkpoint: which
 * of them becomes config.json, which do not
 */
void company_report(const struct checkpoint *c);

/*
 * company_tied - what the config beside the weights says of the output head
 * A config inside the checkpoint counts when there is none beside it.
 * Returns  0 with *out set, or -1 with *e: REFUSED (malformed config.json)
 */
int company_tied(const struct checkpoint *c, enum tie *out, struct err *e);

/*
 * company_config - a config's text with its dtype set to that of the recipe
 * For int8 it gets a quantization_config, which keeps loaders that do not
 * know the form from taking the bytes for numbers. Everything else stays as
 * it is, byte for byte.
 * Returns  0, or -1 with *e: REFUSED (not a JSON object; for int8, quantised
 *          already), UNSUPPORTED (for int8, a family whose matrices have a
 *          row for each input)
 */
int company_config(
    struct buf *out, struct str text, const struct recipe *r, struct err *e);

/*
 * company_check - that the config of c can be made for this recipe
 * Returns  0, also when there is none, or -1 with *e: as company_config(), IO
 */
int company_check(
    const struct checkpoint *c, const struct recipe *r, struct err *e);

/*
 * company_carry - write the company of c into folder
 * files    room for COMPANY_MAX; gets what was written, *n of them
 * Returns  0, or -1 with *e: IO, NOSPACE, REFUSED (malformed config.json)
 */
int company_carry(const struct checkpoint *c, const struct recipe *r,
    const char *folder, struct manifest_file *files, uint64_t *n,
    struct err *e);

#endif

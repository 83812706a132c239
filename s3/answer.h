/*
 * answer.h - what a store says in XML, read strictly. Pure: a text in, rows
 * out, after all of it was found well-formed.
 * Source: mirror and S3, sections 2.5 and 2.6.
 */
#ifndef S3_ANSWER_H
#define S3_ANSWER_H

#include "s3/list.h"
#include "s3/multipart.h"

enum { ANSWER_CODE_MAX = 64, ANSWER_TEXT_MAX = 300, ANSWER_MARK_MAX = 4096 };

/* An <Error>, as far as it is there. */
struct answer_error {
    char code[ANSWER_CODE_MAX];
    char message[ANSWER_TEXT_MAX];
    char region[S3_REGION_MAX];
    char endpoint[ANSWER_TEXT_MAX];
};

/* answer_is_error - is it one? out is set in any case, to nothing at least. */
bool answer_is_error(struct str xml, struct answer_error *out);

/* What leads to the next page. */
struct answer_page {
    bool more;
    int ended; /* what the caller's function returned last, of a list */
    char mark[ANSWER_MARK_MAX]; /* the token, key or number to go on from */
    char mark2[S3_UPLOAD_MAX];  /* the upload's id to go on from */
};

/*
 * answer_list, answer_parts, answer_uploads - one page, told row by row
 * Returns 0, what the caller's function returned, or -1 with *e: REFUSED
 *         (malformed, or another answer), NOMEM
 */
int answer_list(struct str xml, const struct s3_list *l,
    struct answer_page *page, struct err *e);
int answer_parts(struct str xml,
    int (*part)(void *arg, const struct s3_part *part, struct err *e),
    void *arg, struct answer_page *page, struct err *e);
int answer_uploads(struct str xml,
    int (*found)(void *arg, const struct s3_upload *upload, struct err *e),
    void *arg, struct answer_page *page, struct err *e);

/* answer_word - the text at one place, "A/B"; REFUSED where there is none. */
int answer_word(
    struct str xml, const char *path, char *out, size_t out_len, struct err *e);

/* answer_is - the root is of that name, and all of it is well-formed. */
int answer_is(struct str xml, const char *root, struct err *e);

/* answer_etag - without its quotes, from XML or a header; "" when NULL. */
void answer_etag(char out[S3_ETAG_MAX], const char *text);

#endif

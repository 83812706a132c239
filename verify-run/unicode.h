/*
 * unicode.h - what tokenizers ask about characters: letter, number or white
 * space, word character, canonical normal forms, repair of bad UTF-8.
 * Letters and numbers are those of Unicode 16; see unicode_tables.py.
 */
#ifndef VERIFY_RUN_UNICODE_H
#define VERIFY_RUN_UNICODE_H

#include "base/buf.h"
#include "base/err.h"

enum unicode_class {
    UNICODE_OTHER,
    UNICODE_LETTER, /* \p{L} */
    UNICODE_NUMBER, /* \p{N} */
    UNICODE_SPACE   /* \s, White_Space */
};

/* One character of a text. */
struct unicode_char {
    uint32_t cp;
    unsigned len; /* bytes; 0 at the end of the text */
    enum unicode_class kind;
};

enum unicode_class unicode_class(uint32_t cp);

/* unicode_at - the character at byte i of text, which is good UTF-8. */
struct unicode_char unicode_at(struct str text, size_t i);

/* unicode_is_word - \w of the Rust regex engine: letters, marks, digits... */
bool unicode_is_word(uint32_t cp);

/* The start of the last character of text[0, end); end > 0. */
size_t unicode_back(struct str text, size_t end);

/*
 * unicode_form - append a text in normal form NFC (compose) or NFD
 * text     good UTF-8
 * Cost     linear, n log n in a run of combining marks
 */
int unicode_form(struct str text, bool compose, struct buf *out, struct err *e);

/*
 * unicode_repair - append a text with what is no UTF-8 made U+FFFD
 * One for each longest start of a character that is cut off (Unicode 3.9).
 */
void unicode_repair(struct str text, struct buf *out);

#endif

/*
 * int8form.h - does a folder that calls itself int8 keep what
 * ml-safetensors(5) says of that: which matrices are bytes, and a scale that
 * is a number for each of their rows?
 */
#ifndef VERIFY_INT8FORM_H
#define VERIFY_INT8FORM_H

#include "verify/wfile.h"

/* int8form_check - weights[n] are all the files of one model. */
void int8form_check(
    const struct wfile *weights, size_t n, struct findings *report);

#endif

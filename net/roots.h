/* roots.h - where this machine keeps the certificates that it trusts. */
#ifndef NET_ROOTS_H
#define NET_ROOTS_H

#include <limits.h>
#include <stddef.h>

/*
 * roots_find - the file and the folder of trusted certificates
 * SSL_CERT_FILE and SSL_CERT_DIR; for what is not set, libcurl's; where that
 * is not there (it was built for another distribution, or there is nothing but
 * this program), the first file there is of those that distributions have. A
 * folder counts only if it has an entry.
 * file, dir  of PATH_MAX bytes each; dir "": none. Where neither is there, file
 *            is libcurl's, for the error it makes.
 */
void roots_find(
    const char *curls_file, const char *curls_dir, char *file, char *dir);

/* roots_why - what to say when this file, of roots_find, cannot be read. */
void roots_why(const char *file, char *out, size_t size);

#endif

#include "net/roots.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"
#include "base/sys.h"

static const char *const files[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, Red Hat */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem", /* SUSE */
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem", /* the BSDs, and what comes from there */
};

static bool is_empty(const char *dir)
{
    DIR *d AUTO(dir_close) = opendir(dir);
    const struct dirent *entry;

    while (d != NULL && (entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.')
            return false;
    return true;
}

void roots_find(
    const char *curls_file, const char *curls_dir, char *file, char *dir)
{
    const char *found = curls_file;

    if (!env_path("SSL_CERT_DIR", dir))
        snprintf(dir, PATH_MAX, "%s",
            curls_dir == NULL || is_empty(curls_dir) ? "" : curls_dir);
    if (env_path("SSL_CERT_FILE", file))
        return;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (found == NULL || access(found, R_OK) != 0)
            found = files[i];
    if (access(found, R_OK) == 0)
        snprintf(file, PATH_MAX, "%s", found);
    else
        snprintf(file, PATH_MAX, "%s", dir[0] == '\0' ? files[0] : "");
}

void roots_why(const char *file, char *out, size_t size)
{
    int cause = access(file, R_OK) == 0 ? 0 : errno;

    if (cause == 0)
        snprintf(out, size, "%.150s holds no certificates", file);
    else if (env_get("SSL_CERT_FILE") != NULL)
        snprintf(out, size, "SSL_CERT_FILE: %.150s: %s", file, strerror(cause));
    else
        snprintf(out, size,
            "there are no trusted certificates here, neither %s nor what "
            "other distributions have",
            file);
}

/* Whose OpenSSL is it that libcurl has? Which certificates can be read? */
#include "net/tls.h"

#include "tests/unit/tap.h"

int main(void)
{
    void *roots;

    ok(tls_is_ours("OpenSSL/3.0.17"), "that which this program is built for");
    ok(!tls_is_ours("OpenSSL/0.9.8"), "another one of OpenSSL");
    ok(!tls_is_ours("OpenSSL/33.0.1"), "one that is to come");
    ok(!tls_is_ours("(OpenSSL/3.0.17) GnuTLS/3.7.9"), "one that is not used");
    ok(!tls_is_ours("wolfSSL/5.6.0"), "another library");
    ok(!tls_is_ours(NULL), "none at all");
    ok(tls_roots("", "") == NULL, "no certificates to trust");
    ok(tls_roots("/dev/null", "") == NULL, "a file without one");
    ok(tls_roots("/nonexistent", "/") == NULL, "a file that is not there");
    roots = tls_roots("", "/");
    ok(roots != NULL, "a folder is looked into later");
    tls_roots_free(roots);
    tls_roots_free(NULL);
    return done();
}

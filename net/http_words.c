/* What an answer's headers, or its lack, mean to a person. */
#include <string.h>
#include <strings.h>

#include "net/http.h"

const char *http_header(const struct http_call *c, const char *name)
{
    return http_header_at(c, name, 0);
}

const char *http_unfit(const struct http_call *c, bool page_ok)
{
    const char *coding = http_header(c, "Content-Encoding");
    const char *type = http_header(c, "Content-Type");

    if (!page_ok && type != NULL && strncasecmp(type, "text/html", 9) == 0)
        return "sent a web page, as the login page of a network does";
    if (coding != NULL && strcasecmp(coding, "identity") != 0)
        return "sent compressed bytes, unasked";
    return NULL;
}

const char *http_advice(const struct http_call *c)
{
    if (c->end != HTTP_UNTRUSTED)
        return "check the connection, HF_ENDPOINT and the proxy; --offline "
               "uses what is held";
    if (strstr(c->why, "expired") != NULL ||
        strstr(c->why, "not yet valid") != NULL)
        return "is this machine's clock right? see 'date -u'; if it is, the "
               "server's certificate is out of date";
    if (strstr(c->why, "match") != NULL)
        return "the certificate is another host's: check HF_ENDPOINT, the "
               "name server and the proxy";
    if (strstr(c->why, "no trusted certificates") != NULL)
        return "install ca-certificates, or name a file of trusted "
               "certificates in SSL_CERT_FILE";
    return "name the file of trusted certificates in SSL_CERT_FILE";
}

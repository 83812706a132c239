#include "net/wire.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/http_internal.h"

struct wire *wire_dial(
    struct http *h, struct http_call *c, const char *origin, struct err *e)
{
    struct wire *w = calloc(1, sizeof(*w));

    if (w == NULL || (w->easy = curl_easy_init()) == NULL) {
        free(w);
        err_set(e, ERR_NOMEM, "out of memory for a connection");
        return NULL;
    }
    w->http = h;
    w->fd = -1;
    snprintf(w->origin, sizeof(w->origin), "%s", origin);
    h->n_wires++;
    http_set(h, w->easy, w->origin);
    curl_easy_setopt(w->easy, CURLOPT_CONNECT_ONLY, 1L);
    wire_lend(w, c);
    if (curl_easy_setopt(w->easy, CURLOPT_URL, w->origin) != CURLE_OK ||
        curl_multi_add_handle(h->multi, w->easy) != 0) {
        wire_close(w);
        err_set(e, ERR_NOMEM, "out of memory for a connection");
        return NULL;
    }
    return w;
}

int wire_up(struct wire *w)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(w->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
        fd == CURL_SOCKET_BAD)
        return -1;
    w->fd = fd;
    return 0;
}

void wire_lend(struct wire *w, struct http_call *c)
{
    curl_easy_setopt(w->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(w->easy, CURLOPT_ERRORBUFFER, c != NULL ? c->why : NULL);
}

static enum wire_did did(CURLcode code, const size_t *done)
{
    if (code == CURLE_AGAIN)
        return WIRE_LATER;
    if (code != CURLE_OK)
        return WIRE_FAILED;
    return *done > 0 ? WIRE_DID : WIRE_ENDED;
}

enum wire_did wire_recv(struct wire *w, void *room, size_t len, size_t *done)
{
    *done = 0;
    return did(curl_easy_recv(w->easy, room, len, done), done);
}

enum wire_did wire_send(
    struct wire *w, const void *bytes, size_t len, size_t *done)
{
    *done = 0;
    return did(curl_easy_send(w->easy, bytes, len, done), done);
}

bool wire_rests(struct wire *w)
{
    char byte;
    size_t n;

    return wire_recv(w, &byte, 1, &n) == WIRE_LATER;
}

void wire_close(struct wire *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        waiter_forget(&w->http->waiter, w->fd);
    wire_lend(w, NULL);
    curl_multi_remove_handle(w->http->multi, w->easy);
    curl_easy_cleanup(w->easy);
    w->http->n_wires--;
    free(w);
}

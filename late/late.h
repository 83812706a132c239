/*
 * late.h - stand-ins for the functions of a shared library, which is loaded
 * when the first of them is called.
 *
 * libcurl and libmicrohttpd bring thirty libraries along. To load these takes
 * longer than all the rest of a run that asks nobody, so the programs are
 * linked with stand-ins; libmlfetch, the static programs and the compiled
 * tests are linked with the libraries themselves. When a library cannot be
 * loaded, each of its functions says that there is no memory, or no such
 * thing, and the log says why.
 *
 * A file of stand-ins defines FUNCTIONS(X, V, N), and includes this, with
 * LATE_SONAME from the Makefile: X(type, what it gives when there is none,
 * name, parameters, arguments), V(name, parameters, arguments) where it gives
 * nothing, and N(name) where the file has more to say and asks
 * late_find(AT_name) itself. At the end comes LATE_STAND_INS.
 */
#ifndef LATE_LATE_H
#define LATE_LATE_H

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#include "base/log.h"

#define LATE_INDEX(type, none, name, params, args) AT_##name,
#define LATE_INDEX_V(name, params, args) AT_##name,
#define LATE_INDEX_N(name) AT_##name,
#define LATE_NAME(type, none, name, params, args) #name,
#define LATE_NAME_V(name, params, args) #name,
#define LATE_NAME_N(name) #name,
#define LATE_NOTHING(name)
#define LATE_BODY(type, none, name, params, args)                              \
    type(name) params                                                          \
    {                                                                          \
        type(*f) params;                                                       \
        *(void **)&f = late_find(AT_##name);                                   \
        return f != NULL ? f args : (none);                                    \
    }
#define LATE_BODY_V(name, params, args)                                        \
    void(name) params                                                          \
    {                                                                          \
        void(*f) params;                                                       \
        *(void **)&f = late_find(AT_##name);                                   \
        if (f != NULL)                                                         \
            f args;                                                            \
    }

#define LATE_STAND_INS FUNCTIONS(LATE_BODY, LATE_BODY_V, LATE_NOTHING)

enum { FUNCTIONS(LATE_INDEX, LATE_INDEX_V, LATE_INDEX_N) LATE_COUNT };
static const char *const late_names[] = { FUNCTIONS(
    LATE_NAME, LATE_NAME_V, LATE_NAME_N) };
static void *late_found[LATE_COUNT];
_Static_assert(sizeof(LATE_SONAME) > 1, "the library has a name");
static pthread_once_t late_once = PTHREAD_ONCE_INIT;

static void late_load(void)
{
    void *lib = dlopen(LATE_SONAME, RTLD_NOW | RTLD_LOCAL);
    const char *why = lib == NULL ? dlerror() : NULL;

    for (size_t i = 0; i < LATE_COUNT && why == NULL; i++) {
        late_found[i] = dlsym(lib, late_names[i]);
        if (late_found[i] == NULL)
            why = dlerror();
    }
    if (why != NULL)
        log_warn("%s cannot be used: %s", LATE_SONAME, why);
}

static void *late_find(size_t i)
{
    pthread_once(&late_once, late_load);
    return late_found[i];
}

#endif

/* symbol.h - a function of a library that is opened, never linked. */
#ifndef CUDA_SYMBOL_H
#define CUDA_SYMBOL_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

/* symbol_find - into a pointer to a function, of that size; false: no such. */
static inline bool symbol_find(
    void *lib, const char *name, void *function, size_t size)
{
    void *p = dlsym(lib, name);

    __builtin_memcpy(function, &p, size);
    return p != NULL;
}

#endif

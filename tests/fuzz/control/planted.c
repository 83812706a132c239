/*
 * A bug of the kind PLANTED behind a word that nobody guesses: whoever cannot
 * find it here finds none elsewhere. Kind 0 has no bug.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NONE, OVERRUN, OVERFLOW, LEAK, SLOW, MEMORY };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *volatile kept;

static void hang(void)
{
    time_t end = time(NULL) + 5;

    while (time(NULL) < end)
        continue;
}

static void go_wrong(int kind, size_t size)
{
    static volatile int large = INT32_MAX;

    switch (kind) {
    case OVERRUN:
        kept = malloc(size);
        ((volatile char *)kept)[size] = 1;
        free(kept);
        break;
    case OVERFLOW:
        large = large + 1;
        if (large > 0)
            kept = NULL;
        break;
    case LEAK:
        kept = malloc(size);
        kept = NULL;
        break;
    case SLOW:
        hang();
        break;
    case MEMORY:
        kept = malloc((size_t)600 << 20);
        if (kept != NULL)
            memset(kept, 1, (size_t)600 << 20);
        free(kept);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 5 && memcmp(data, "plant", 5) == 0)
        go_wrong(PLANTED, size);
    return 0;
}

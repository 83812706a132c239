/*
 * membw.c - how fast this machine's threads read memory: the ceiling of
 * batch-1 decoding.
 *
 *   membw FILE THREADS SECONDS
 *
 * The file is mapped, as a model is, and one thread touches each page once.
 * Then the threads read all of it again and again in pieces handed out in
 * order: straight on, and four quarters of a piece side by side, on each of
 * which the processor reads ahead. Prints the seconds of the touch and the
 * two rates of the passes within SECONDS, in GB/s (1e9 bytes).
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

enum { PIECE = 1 << 18, LANES = 64, THREADS_MAX = 256 };

struct team {
    const uint64_t *words;
    size_t n_pieces;
    size_t streams; /* of a piece, side by side: 1 or 4 */
    atomic_size_t next;
    pthread_barrier_t gate;
    atomic_bool over;
    _Atomic uint64_t sum; /* so that nothing is left out */
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Independent lanes, which the compiler keeps in vector registers. */
static uint64_t read_piece(const uint64_t *w, size_t streams)
{
    uint64_t lane[LANES] = { 0 };
    uint64_t sum = 0;
    size_t part = PIECE / sizeof(*w) / streams;

    for (size_t i = 0; i < part; i += LANES)
        for (size_t s = 0; s < streams; s++)
            for (size_t k = 0; k < LANES; k++)
                lane[k] ^= w[s * part + i + k];
    for (size_t k = 0; k < LANES; k++)
        sum ^= lane[k];
    return sum;
}

static void read_pass(struct team *t)
{
    uint64_t sum = 0;
    size_t i;

    while ((i = atomic_fetch_add(&t->next, 1)) < t->n_pieces)
        sum ^=
            read_piece(t->words + i * (PIECE / sizeof(uint64_t)), t->streams);
    atomic_fetch_xor(&t->sum, sum);
}

static void *worker(void *arg)
{
    struct team *t = arg;

    for (;;) {
        pthread_barrier_wait(&t->gate);
        if (atomic_load(&t->over))
            return NULL;
        read_pass(t);
        pthread_barrier_wait(&t->gate);
    }
}

static double one_pass(struct team *t)
{
    double start = seconds();

    atomic_store(&t->next, 0);
    pthread_barrier_wait(&t->gate);
    read_pass(t);
    pthread_barrier_wait(&t->gate);
    return seconds() - start;
}

static double touch(struct team *t)
{
    enum { PAGE = 4096 / sizeof(uint64_t) };
    double start = seconds();
    uint64_t sum = 0;

    for (size_t i = 0; i < t->n_pieces * PIECE / sizeof(*t->words); i += PAGE)
        sum ^= t->words[i];
    atomic_fetch_xor(&t->sum, sum);
    return seconds() - start;
}

static double rate(struct team *t, size_t streams, double wanted)
{
    double spent = 0;
    size_t passes = 0;

    t->streams = streams;
    while (spent < wanted || passes == 0) {
        spent += one_pass(t);
        passes++;
    }
    return (double)passes * (double)t->n_pieces * PIECE / spent / 1e9;
}

static int measure(struct team *t, unsigned threads, double wanted)
{
    pthread_t id[THREADS_MAX];

    if (pthread_barrier_init(&t->gate, NULL, threads) != 0)
        return 1;
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(&id[i], NULL, worker, t) != 0) {
            perror("membw: a thread");
            return 1; /* with main, the others end */
        }
    printf("%.4f", touch(t));
    printf(" %.3f", rate(t, 1, wanted));
    printf(" %.3f\n", rate(t, 4, wanted));
    atomic_store(&t->over, true);
    pthread_barrier_wait(&t->gate);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(id[i], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned threads = argc == 4 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    int fd = argc == 4 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    struct team t = { .n_pieces = 0 };
    struct stat st;
    void *p;

    if (fd < 0 || threads == 0 || threads > THREADS_MAX ||
        fstat(fd, &st) != 0) {
        fprintf(stderr, "usage: membw FILE THREADS SECONDS\n");
        return 2;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    t.n_pieces = (size_t)st.st_size / PIECE;
    if (p == MAP_FAILED || t.n_pieces == 0) {
        perror("membw: the file");
        return 1;
    }
    t.words = p;
    return measure(&t, threads, strtod(argv[3], NULL));
}

/*
 * How little work a conversion can be: float32 in, float16 out past the page
 * cache, and the SHA-256 of what is written, in order. No tables, no checks of
 * values, no second digest. Divided by in docs/benchmarks.md.
 *
 *   convert_floor IN OUT THREADS SHA(0|1)
 *
 * What is behind the last whole 8 KiB of IN is left out.
 */
#include <fcntl.h>
#include <immintrin.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4 << 20, UNIT = 8192 };

struct floor {
    int in, out;
    size_t size, blocks;
    atomic_size_t next;
    EVP_MD_CTX *sha; /* or NULL */
    size_t hashed;
    pthread_mutex_t lock;
    pthread_cond_t turn;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void cast(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;

#ifdef __AVX512F__
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256(
            (void *)(out + i), _mm512_cvtps_ph(_mm512_loadu_ps(in + i), 0));
#else
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(
            (void *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), 0));
#endif
}

static void hash_in_turn(struct floor *f, size_t k, const void *p, size_t n)
{
    pthread_mutex_lock(&f->lock);
    while (f->hashed != k)
        pthread_cond_wait(&f->turn, &f->lock);
    pthread_mutex_unlock(&f->lock);
    EVP_DigestUpdate(f->sha, p, n);
    pthread_mutex_lock(&f->lock);
    f->hashed++;
    pthread_cond_broadcast(&f->turn);
    pthread_mutex_unlock(&f->lock);
}

static void *work(void *arg)
{
    struct floor *f = arg;
    float *in = aligned_alloc(4096, BLOCK);
    uint16_t *out = aligned_alloc(4096, BLOCK / 2);
    size_t k;

    while ((k = atomic_fetch_add(&f->next, 1)) < f->blocks) {
        size_t at = k * BLOCK, n = f->size - at;

        if (n > BLOCK)
            n = BLOCK;
        if (pread(f->in, in, n, (off_t)at) != (ssize_t)n)
            fail("reading");
        cast(out, in, n / 4);
        if (pwrite(f->out, out, n / 2, (off_t)(at / 2)) != (ssize_t)(n / 2))
            fail("writing");
        if (f->sha != NULL)
            hash_in_turn(f, k, out, n / 2);
    }
    free(in);
    free(out);
    return NULL;
}

int main(int argc, char **argv)
{
    struct floor f = { .lock = PTHREAD_MUTEX_INITIALIZER,
        .turn = PTHREAD_COND_INITIALIZER };
    pthread_t threads[16];
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct stat st;
    int n;

    if (argc != 5 || (n = argv[3][0] - '0') < 1 || n > 9)
        return 2;
    f.in = open(argv[1], O_RDONLY);
    f.out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0644);
    if (f.in < 0 || f.out < 0 || fstat(f.in, &st) != 0)
        fail("opening");
    f.size = (size_t)st.st_size / UNIT * UNIT;
    f.blocks = (f.size + BLOCK - 1) / BLOCK;
    if (posix_fallocate(f.out, 0, (off_t)(f.size / 2)) != 0)
        fail("making room");
    if (argv[4][0] == '1') {
        f.sha = EVP_MD_CTX_new();
        EVP_DigestInit_ex(f.sha, EVP_sha256(), NULL);
    }
    for (int i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, work, &f);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (f.sha != NULL) {
        EVP_DigestFinal_ex(f.sha, digest, NULL);
        for (int i = 0; i < 32; i++)
            printf("%02x", digest[i]);
        puts("");
    }
    return 0;
}

/*
 * A delay line between two network namespaces, for kernels without netem.
 *
 *   cc -O2 -pthread -o delay delay.c
 *   delay NAMESPACE NAMESPACE ONE_WAY_MICROSECONDS
 *
 * Each namespace gets a TUN device "far0", 198.18.0.1/30 in the first and
 * 198.18.0.2/30 in the second. A packet that enters one leaves the other so
 * much later, in order; a packet that finds the line full is lost, as on any
 * link. Prints "ready" and runs until it is killed. Needs root.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MTU = 9000, SLOT_BYTES = 9216, SLOTS = 1 << 14 };

struct slot {
    long long due_ns;
    long len;
    char packet[SLOT_BYTES];
};

/* One direction: one thread puts packets in, another takes them out. */
struct line {
    int in, out;
    long long delay_ns;
    struct slot *slots;
    sem_t full, empty;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static long long now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void *take_in(void *arg)
{
    struct line *l = arg;
    static _Thread_local char lost[SLOT_BYTES];

    for (unsigned at = 0;;) {
        struct slot *s = &l->slots[at % SLOTS];
        int room = sem_trywait(&l->empty) == 0;
        long n = read(l->in, room ? s->packet : lost, SLOT_BYTES);

        if (!room)
            continue;
        s->len = n;
        s->due_ns = now_ns() + l->delay_ns;
        at++;
        sem_post(&l->full);
    }
    return NULL;
}

static void *let_out(void *arg)
{
    struct line *l = arg;

    for (unsigned at = 0;; at++) {
        struct slot *s = &l->slots[at % SLOTS];
        struct timespec until;

        while (sem_wait(&l->full) != 0)
            ;
        until.tv_sec = s->due_ns / 1000000000LL;
        until.tv_nsec = s->due_ns % 1000000000LL;
        if (s->due_ns - now_ns() > 20000)
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        if (s->len > 0 && write(l->out, s->packet, (size_t)s->len) < 0)
            (void)0; /* the other side is down: lost */
        sem_post(&l->empty);
    }
    return NULL;
}

static void enter(const char *namespace)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "/var/run/netns/%s", namespace);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        die(path);
    close(fd);
}

static void ip(const char *const *words)
{
    int status = 1;
    pid_t child = fork();

    if (child == 0) {
        execvp("ip", (char *const *)words);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die("ip");
}

static int device(const char *namespace, const char *address)
{
    const char *add[] = { "ip", "addr", "add", address, "dev", "far0", NULL };
    const char *up[] = { "ip", "link", "set", "far0", "mtu", "9000",
        "txqueuelen", "10000", "up", NULL };
    const char *lo[] = { "ip", "link", "set", "lo", "up", NULL };
    struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd;

    enter(namespace);
    snprintf(r.ifr_name, sizeof(r.ifr_name), "far0");
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0)
        die("/dev/net/tun");
    ip(add);
    ip(up);
    ip(lo);
    return fd;
}

static void join(int in, int out, long long delay_ns)
{
    struct line *l = calloc(1, sizeof(*l));
    pthread_t a, b;

    if (l == NULL)
        die("memory");
    l->in = in;
    l->out = out;
    l->delay_ns = delay_ns;
    l->slots = mmap(NULL, sizeof(struct slot) * SLOTS, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->slots == MAP_FAILED || sem_init(&l->full, 0, 0) != 0 ||
        sem_init(&l->empty, 0, SLOTS) != 0 ||
        pthread_create(&a, NULL, take_in, l) != 0 ||
        pthread_create(&b, NULL, let_out, l) != 0)
        die("threads");
}

int main(int argc, char **argv)
{
    int a, b;
    long long ns;

    if (argc != 4) {
        fprintf(stderr, "usage: delay NAMESPACE NAMESPACE MICROSECONDS\n");
        return 2;
    }
    ns = strtoll(argv[3], NULL, 10) * 1000;
    a = device(argv[1], "198.18.0.1/30");
    b = device(argv[2], "198.18.0.2/30");
    join(a, b, ns);
    join(b, a, ns);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

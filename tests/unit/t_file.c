/* Atomic files, maps, digests: what base/file.h, map.h and hash.h promise. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/path.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/t_file.XXXXXX";
static int no_modes;

/* Stands in front of the system's. */
int fchmod(int fd, mode_t mode)
{
    if (no_modes != 0) {
        errno = no_modes;
        return -1;
    }
    return (int)syscall(SYS_fchmod, fd, mode);
}
static char path[PATH_MAX];

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static int count_names(void)
{
    char cmd[PATH_MAX];
    FILE *f;
    int n = 0;

    snprintf(cmd, sizeof(cmd), "ls -A %s | wc -l", dir);
    f = popen(cmd, "r");
    if (f == NULL || fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f != NULL)
        pclose(f);
    return n;
}

static void atomic_files(void)
{
    struct err e = ERR_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(100);
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct stat st;

    is_int(file_put(in_dir("a"), "one", 3, 0444, &e), 0, "a small file");
    is_int(file_slurp(in_dir("a"), &b, &e), 0, "is read back");
    is_str(b.p, "one", "whole");
    ok(stat(in_dir("a"), &st) == 0 && (st.st_mode & 0777) == 0444,
        "with the mode asked for");
    is_int(file_new_begin(&f, in_dir("a"), &e), 0, "a replacement begins");
    file_write_at(f.fd, "two", 3, 0, "a", &e);
    buf_clear(&b);
    file_slurp(in_dir("a"), &b, &e);
    is_str(b.p, "one", "and is not seen before it is committed");
    file_new_abandon(&f);
    is_int(count_names(), 1, "an abandoned file leaves nothing");
    file_new_begin(&f, in_dir("a"), &e);
    file_write_at(f.fd, "two", 3, 0, "a", &e);
    is_int(file_new_commit(&f, 0644, &e), 0, "a committed one");
    buf_clear(&b);
    file_slurp(in_dir("a"), &b, &e);
    is_str(b.p, "two", "replaces the old");
    is_int(count_names(), 1, "and leaves nothing else");
}

static void temporary_names(void)
{
    struct err e = ERR_INIT;
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    char longest[256] = "";

    memset(longest, 'n', 255);
    is_int(file_put(in_dir(longest), "x", 1, 0644, &e), 0,
        "the longest name there is can be written");
    unlink(in_dir(longest));
    mkdir(in_dir("tmp"), 0777);
    is_int(file_new_begin_in(&f, in_dir("tmp"), "final", &e), 0,
        "begun in another folder");
    ok(strncmp(f.tmp, path, strlen(path)) == 0 && access(f.tmp, F_OK) == 0,
        "it is there");
    snprintf(f.path, sizeof(f.path), "%s", in_dir("final"));
    is_int(file_new_commit(&f, 0644, &e), 0, "and committed to its own");
    ok(access(in_dir("final"), F_OK) == 0 && unlink(path) == 0 &&
            rmdir(in_dir("tmp")) == 0,
        "where it is now; the other is empty");
}

static void failures(void)
{
    struct err e = ERR_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(2);
    char byte[8];
    int fd;

    is_int(file_open(in_dir("none"), NULL, &e), -1, "a file not there");
    is_int(e.kind, ERR_MISSING, "is missing");
    err_clear(&e);
    is_int(file_open(dir, NULL, &e), -1, "a folder");
    is_int(e.kind, ERR_REFUSED, "is refused");
    err_clear(&e);
    is_int(file_slurp(in_dir("a"), &b, &e), -1, "a file over the limit");
    is_int(e.kind, ERR_REFUSED, "is refused");
    err_clear(&e);
    fd = file_open(in_dir("a"), NULL, &e);
    is_int(file_read_at(fd, byte, 8, 0, "a", &e), -1, "a file too short");
    is_int(e.kind, ERR_CORRUPT, "is damaged");
    ok(strstr(e.msg, "byte 3") != NULL, "and says where it ends");
    fd_close(&fd);
    err_clear(&e);
    mkfifo(in_dir("fifo"), 0600);
    is_int(file_open(in_dir("fifo"), NULL, &e), -1, "a FIFO does not hang");
    unlink(in_dir("fifo"));
    err_clear(&e);
    fd = open("/dev/full", O_WRONLY);
    is_int(file_write_at(fd, "x", 1, 0, "full", &e), -1, "a full disk");
    is_int(e.kind, ERR_NOSPACE, "is a lack of space");
    fd_close(&fd);
}

/* Deep recursion must show on any machine. */
static void limit_stack(void)
{
    struct rlimit r = { 0 };

    getrlimit(RLIMIT_STACK, &r);
    r.rlim_cur = size_min(r.rlim_cur, 2 << 20);
    setrlimit(RLIMIT_STACK, &r);
}

static void folders(void)
{
    struct err e = ERR_INIT;
    char target[16] = "", deep[PATH_MAX];
    uint64_t space = 0;

    is_int(dir_make(in_dir("x/y/z"), &e), 0, "folders with their parents");
    is_int(dir_make(in_dir("x/y/z"), &e), 0, "twice is fine");
    is_int(dir_make(in_dir("a/b"), &e), -1, "below a file it fails");
    err_clear(&e);
    ok(symlink("none", in_dir("link")) == 0 && dir_make(path, &e) == -1,
        "a link to nothing is not taken for a folder");
    err_clear(&e);
    unlink(in_dir("link"));
    snprintf(deep, sizeof(deep), "%s", in_dir("deep"));
    for (size_t n = strlen(deep); n + 2 < sizeof(deep); n += 2)
        memcpy(deep + n, "/d", 3);
    limit_stack();
    is_int(dir_make(deep, &e), 0, "folders as deep as a path can be");
    is_int(dir_free_space(in_dir("not/yet/there"), &space, &e), 0,
        "space where a folder will be");
    ok(space > 0, "is known");
    file_symlink("one", dir, in_dir("link"), &e);
    is_int(
        file_symlink("two", dir, in_dir("link"), &e), 0, "a link is replaced");
    ok(readlink(in_dir("link"), target, 15) == 3 && strcmp(target, "two") == 0,
        "by the new one");
    unlink(in_dir("link"));
}

static void digests(void)
{
    static const struct {
        const char *text, *git, *sha;
    } v[] = {
        { "", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"
            "5" },
        { "hello\n", "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be0"
            "3" },
    };
    struct err e = ERR_INIT;
    struct digest d = { .hex = "" }, p;

    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        size_t n = strlen(v[i].text);
        hash_bytes(HASH_GIT_SHA1, v[i].text, n, &d, &e);
        is_str(d.hex, v[i].git, "git's blob SHA-1");
        hash_bytes(HASH_SHA256, v[i].text, n, &d, &e);
        is_str(d.hex, v[i].sha, "SHA-256");
        file_put(in_dir("h"), v[i].text, n, 0644, &e);
        file_hash(in_dir("h"), HASH_GIT_SHA1, &d, NULL, NULL, &e);
        is_str(d.hex, v[i].git, "the same of a file");
    }
    ok(digest_parse(&p, str_of(v[0].git)) && p.kind == HASH_GIT_SHA1,
        "40 digits are a git SHA-1");
    ok(digest_parse(&p, str_of(v[0].sha)) && p.kind == HASH_SHA256,
        "64 digits are a SHA-256");
    ok(!digest_parse(&p, str_of("../../etc/passwd")), "nothing else is");
}

/* In a child: touch a page of a file that was cut after it was mapped. */
static int touch_cut_map(void)
{
    struct err e = ERR_INIT;
    struct map m AUTO(map_close) = MAP_INIT;
    volatile uint8_t sink;

    if (freopen("/dev/null", "w", stderr) == NULL ||
        map_open(&m, path, &e) != 0 || truncate(path, 10) != 0)
        return 99;
    sink = m.p[5000];
    return sink == 0 ? 98 : 97;
}

enum { MAPPERS = 4, MAPS = 5000 };

static struct map mapped[MAPPERS];
static pthread_barrier_t together;
static unsigned shared;

/* All map, then the first looks, then all close. */
static void *mapper(void *arg)
{
    struct map *m = arg;

    for (int i = 0; i < MAPS; i++) {
        struct err e = ERR_INIT;

        pthread_barrier_wait(&together);
        map_open(m, path, &e);
        pthread_barrier_wait(&together);
        for (int k = 1; k < MAPPERS && m == mapped; k++)
            for (int j = 0; j < k; j++)
                shared += mapped[j].guard == mapped[k].guard;
        pthread_barrier_wait(&together);
        map_close(m);
    }
    return NULL;
}

static void maps_at_once(void)
{
    pthread_t threads[MAPPERS];
    struct err e = ERR_INIT;

    file_put(in_dir("m"), "x", 1, 0644, &e);
    pthread_barrier_init(&together, NULL, MAPPERS);
    for (int i = 0; i < MAPPERS; i++)
        pthread_create(&threads[i], NULL, mapper, &mapped[i]);
    for (int i = 0; i < MAPPERS; i++)
        pthread_join(threads[i], NULL);
    is_int(shared, 0, "maps made at once are guarded each for itself");
}

static void maps(void)
{
    static char page[8192];
    struct err e = ERR_INIT;
    struct map m AUTO(map_close) = MAP_INIT;
    int status = 0;
    pid_t child;

    memset(page, 'x', sizeof(page));
    file_put(in_dir("m"), page, sizeof(page), 0644, &e);
    is_int(map_open(&m, path, &e), 0, "a file is mapped");
    ok(m.len == sizeof(page) && m.p[8191] == 'x', "whole");
    map_close(&m);
    map_close(&m);
    ok(m.p == NULL, "closing twice is fine");
    child = fork();
    if (child == 0)
        _exit(touch_cut_map());
    waitpid(child, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 6,
        "a file cut while mapped ends in status 6, not in a signal");
    file_put(in_dir("empty"), "", 0, 0644, &e);
    is_int(map_open(&m, in_dir("empty"), &e), 0, "an empty file maps");
    ok(m.len == 0, "to nothing");
}

/* Its files have the mode that the umask left them, whatever is asked for. */
static void modes(void)
{
    struct err e = ERR_INIT;
    int fd;

    no_modes = EPERM;
    is_int(file_put(in_dir("m"), "one", 3, 0444, &e), 0,
        "a file is made where there are no modes");
    is_int(file_put(in_dir("m"), "one", 3, 0600, &e), 0,
        "a secret, too, if nobody else may read it");
    no_modes = EIO;
    ok(file_put(in_dir("m"), "two", 3, 0444, &e) != 0 && e.sys == EIO,
        "any other failure is one");
    no_modes = 0;
    fd = open(in_dir("m"), O_RDONLY);
    is_int(file_mode(fd, 0644), 0, "others may read it");
    no_modes = EPERM;
    ok(file_mode(fd, 0600) != 0 && errno == EPERM,
        "which is no place for a secret");
    is_int(file_mode(fd, 0444), 0, "but for anything else");
    no_modes = 0;
    close(fd);
    unlink(in_dir("m"));
}

enum { LARGE = 9 << 20 };

static void cut_it(void *arg, uint64_t bytes)
{
    uint64_t *seen = arg;

    if (*seen == 0)
        is_int(truncate(path, LARGE / 2), 0, "cut while it is read");
    *seen += bytes;
}

/* A file that the page cache has is not copied to be hashed. */
static void large_digests(void)
{
    struct err e = ERR_INIT;
    struct digest plain, got = { .hex = "" };
    struct map m AUTO(map_close) = MAP_INIT;
    uint8_t *bytes = malloc(LARGE);
    uint64_t seen = 0;
    int fd;

    for (size_t i = 0; bytes != NULL && i < LARGE; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 977);
    is_int(file_put(path, bytes, LARGE - 3, 0644, &e), 0, "a larger file");
    hash_bytes(HASH_SHA256, bytes, LARGE - 3, &plain, &e);
    is_int(file_hash(path, HASH_SHA256, &got, NULL, NULL, &e), 0, "hashed");
    is_str(got.hex, plain.hex, "as its bytes are");
    is_int(file_hash(path, HASH_SHA256, &got, cut_it, &seen, &e), -1,
        "a file that is cut has no digest");
    ok(e.kind == ERR_CORRUPT, "for it ends too early: %s", e.msg);
    err_clear(&e);
    fd = open(path, O_RDWR);
    is_int(map_fd(&m, fd, LARGE / 2, &e), 0, "mapped");
    ok(map_ready(&m, 5, LARGE / 2), "all of it is there");
    ok(!map_torn(&m), "and nothing is missing");
    is_int(ftruncate(fd, 4096), 0, "cut behind the map's back");
    ok(m.p[4095] == bytes[4095] && m.p[4096] == 0 && m.p[LARGE / 2 - 1] == 0,
        "what is missing reads as zeros");
    ok(map_torn(&m), "which is told");
    ok(!map_ready(&m, 0, LARGE / 2), "and is not ready");
    map_forget_part(&(struct map)MAP_INIT, 0, LARGE);
    fd_close(&fd);
    free(bytes);
}

int main(void)
{
    char cmd[PATH_MAX];

    if (mkdtemp(dir) == NULL)
        return 1;
    atomic_files();
    modes();
    temporary_names();
    failures();
    folders();
    digests();
    large_digests();
    maps();
    maps_at_once();
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    ok(system(cmd) == 0, "cleaned up");
    return done();
}

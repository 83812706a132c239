/*
 * file.h - files that are read fully, written atomically, and made durable.
 * The only renames of the suite are here.
 *
 * A new file is written under a temporary name in the directory of its final
 * name (O_EXCL, close on exec), then committed: fsync, close, rename, fsync
 * of the directory. Readers see the whole file or none. An fsync that fails
 * is final: the file is dropped, never synced again.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* fd_close - for AUTO: close *fd if it is open. */
void fd_close(int *fd);

/* dir_close - for AUTO: the same of what opendir gave. */
void dir_close(DIR **d);

/*
 * file_open - open for reading, close on exec; follows symbolic links
 * out_size   size in bytes, or NULL
 * Returns    the descriptor, or -1 with *e: MISSING, IO; REFUSED when it is
 *            not a regular file
 */
int file_open(const char *path, uint64_t *out_size, struct err *e);

/*
 * file_read_at - exactly len bytes from offset; short file is CORRUPT
 * name is used in messages only.
 */
int file_read_at(int fd, void *out, size_t len, uint64_t offset,
    const char *name, struct err *e);

/* file_write_at - exactly len bytes at offset. */
int file_write_at(int fd, const void *bytes, size_t len, uint64_t offset,
    const char *name, struct err *e);

/* file_slurp - the whole of a file of at most out->limit bytes. */
int file_slurp(const char *path, struct buf *out, struct err *e);

/* A file that does not exist yet for anybody else. */
struct file_new {
    int fd;              /* write here; -1 when done or not begun */
    char tmp[PATH_MAX];  /* its temporary name */
    char path[PATH_MAX]; /* the name it gets on commit */
};

#define FILE_NEW_INIT                                                          \
    {                                                                          \
        .fd = -1                                                               \
    }

/* file_new_begin - create the temporary file beside path. */
int file_new_begin(struct file_new *f, const char *path, struct err *e);

/*
 * file_new_begin_in - create it in dir, another folder of the same file
 * system, where leftovers disturb nobody
 * f->path may be set to another name until the commit.
 */
int file_new_begin_in(
    struct file_new *f, const char *dir, const char *path, struct err *e);

/*
 * file_new_commit - make it durable and visible, with the given mode
 * An existing file of that name is replaced. On failure nothing is left.
 */
int file_new_commit(struct file_new *f, mode_t mode, struct err *e);

/*
 * file_new_commit_all - the same of n files of one folder, which is synced once
 * The first sync of many may have done most of the work of the others. On
 * failure those that have their names keep them, nothing is left of the rest.
 */
int file_new_commit_all(
    struct file_new *v, size_t n, mode_t mode, struct err *e);

/*
 * file_mode - give an open file a mode, where its file system lets us
 * Some have no modes, or one for all files (vfat, of another user): that is
 * no error, as it was meant for others to read; but a mode for its owner
 * alone is kept, or refused. Returns 0, or -1 with errno.
 */
int file_mode(int fd, mode_t mode);

/* file_new_abandon - remove what was not committed; idempotent, for AUTO. */
void file_new_abandon(struct file_new *f);

/* file_put - a small file in one call: begin, write, commit. */
int file_put(const char *path, const void *bytes, size_t len, mode_t mode,
    struct err *e);

/*
 * file_temp_name - a name in dir that nobody else will choose, for what is to
 * become path; into out of PATH_MAX bytes. Nothing is created.
 */
int file_temp_name(char *out, const char *dir, const char *path, struct err *e);

/*
 * file_publish - rename a finished, synced file to its final name and sync
 * the directory. An existing file is replaced.
 */
int file_publish(const char *from, const char *to, struct err *e);

/* file_move - rename a finished, synced file; the caller syncs the folders. */
int file_move(const char *from, const char *to, struct err *e);

/*
 * file_symlink - path becomes a symbolic link to target, atomically
 * replacing whatever link or file was there; the directory is synced. The
 * link is made in dir first, another folder of the same file system.
 */
int file_symlink(
    const char *target, const char *dir, const char *path, struct err *e);

/* dir_make - create a directory and its parents, synced; existing is fine. */
int dir_make(const char *path, struct err *e);

/* dir_sync - make the names in a directory durable. */
int dir_sync(const char *path, struct err *e);

/*
 * dir_free_space - bytes an ordinary user may still write where path is, or
 * would be: the nearest existing parent is asked.
 */
int dir_free_space(const char *path, uint64_t *out, struct err *e);

/*
 * file_hash - digest of a whole file, read in order
 * progress, when not NULL, is called with the bytes just read.
 */
struct digest;
int file_hash(const char *path, int hash_kind, struct digest *out,
    void (*progress)(void *arg, uint64_t bytes), void *arg, struct err *e);

#endif

/* What the processes of a node do to the files below one folder, one record a call, in one file for all of them.
 *
 * To be preloaded. A record is written once its call has returned, before the process does anything more, so whatever
 * follows from a call has its records behind it: the size of the trace when somebody outside hears an answer is a place
 * with everything before it that this answer rests on. Calls are those of Python's `os` and `io`; that none was missed
 * is seen by replaying the trace beside the folder.
 *
 * TRACED_ROOT    the folder, an absolute path without links
 * TRACED_TO      the trace, made by the test
 * TRACED_BOOT    a file to be read instead of the kernel's boot id
 *
 * record: u32 bytes of the payload, u32 kind, u32 flags, u32 pid, u64 inode, u64 offset, then the payload
 *
 *   kind      payload               inode, offset, flags
 *   OPEN      path                  inode; flags of open(2), which have O_CREAT or O_TRUNC
 *   WRITE     what was written      inode; where it begins
 *   SYNC      path                  inode; flags 1: a folder
 *   TRUNCATE  none                  inode; offset: the size
 *   RENAME    old path, NUL, new    none
 *   UNLINK    path                  none
 *   MKDIR     path                  none
 *
 * The trace is opened for each record, because hosts close every descriptor that is not theirs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, SYNC, TRUNCATE, RENAME, UNLINK, MKDIR };

struct record {
    uint32_t bytes, kind, flags, pid;
    uint64_t inode, offset;
};

static const char BOOT_ID[] = "/proc/sys/kernel/random/boot_id";
static char root[PATH_MAX], trace[PATH_MAX], boot[PATH_MAX];

static void take(char *to, const char *name)
{
    const char *value = getenv(name);
    if (value != NULL && strlen(value) < PATH_MAX)
        strcpy(to, value);
}

__attribute__((constructor)) static void begin(void)
{
    take(root, "TRACED_ROOT");
    take(trace, "TRACED_TO");
    take(boot, "TRACED_BOOT");
}

/* One write, so that records of several processes do not mix; errno stays what the traced call left. */
static void record(uint32_t kind, uint32_t flags, uint64_t inode, uint64_t offset, const void *data, size_t bytes)
{
    int before = errno;
    struct record head = {(uint32_t)bytes, kind, flags, (uint32_t)getpid(), inode, offset};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, bytes}};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_writev, fd, parts, 2) != (ssize_t)(sizeof head + bytes))
        abort();
    syscall(SYS_close, fd);
    errno = before;
}

static int is_inside(const char *path)
{
    size_t length = strlen(root);
    return length > 0 && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The path of a descriptor's file or folder below the root, and what it is; 0 for any other. */
static int find(int fd, char path[PATH_MAX], struct stat *info)
{
    int before = errno;
    char link[32];
    int is_ours = root[0] != '\0' && fstat(fd, info) == 0 && (S_ISREG(info->st_mode) || S_ISDIR(info->st_mode));
    if (is_ours) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, PATH_MAX - 1);
        path[length < 0 ? 0 : length] = '\0';
        is_ours = is_inside(path);
    }
    errno = before;
    return is_ours;
}

/* An absolute path for what a call was given; "" when it does not fit. */
static void absolute(int folder, const char *given, char path[PATH_MAX])
{
    char above[PATH_MAX], link[32];
    path[0] = '\0';
    if (given[0] == '/') {
        snprintf(path, PATH_MAX, "%s", given);
        return;
    }
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, above, PATH_MAX - 1);
    above[length < 0 ? 0 : length] = '\0';
    if (snprintf(path, PATH_MAX, "%s/%s", above, given) >= PATH_MAX)
        path[0] = '\0';
}

static int open_at(int folder, const char *given, int flags, mode_t mode)
{
    char path[PATH_MAX];
    struct stat info;
    if (boot[0] != '\0' && strcmp(given, BOOT_ID) == 0)
        given = boot;
    int fd = (int)syscall(SYS_openat, folder, given, flags, mode);
    if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) && find(fd, path, &info))
        record(OPEN, (uint32_t)flags, info.st_ino, 0, path, strlen(path));
    return fd;
}

static mode_t mode_of(int flags, va_list rest)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPENS(name, before, folder)                      \
    int name(before const char *given, int flags, ...)   \
    {                                                    \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = mode_of(flags, rest);              \
        va_end(rest);                                    \
        return open_at(folder, given, flags, mode);      \
    }
#define NOTHING
#define A_FOLDER int folder,
OPENS(open, NOTHING, AT_FDCWD)
OPENS(open64, NOTHING, AT_FDCWD)
OPENS(openat, A_FOLDER, folder)
OPENS(openat64, A_FOLDER, folder)

static void wrote(int fd, uint64_t offset, const void *data, ssize_t bytes)
{
    char path[PATH_MAX];
    struct stat info;
    if (bytes > 0 && find(fd, path, &info))
        record(WRITE, 0, info.st_ino, offset, data, (size_t)bytes);
}

/* Where a write that moved the position has ended; 0 for what has none. */
static uint64_t position(int fd)
{
    int before = errno;
    off_t at = lseek(fd, 0, SEEK_CUR);
    errno = before;
    return at < 0 ? 0 : (uint64_t)at;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    ssize_t done = syscall(SYS_write, fd, data, bytes);
    if (done > 0)
        wrote(fd, position(fd) - (uint64_t)done, data, done);
    return done;
}

/* As one write for each part. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t one = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (one < 0)
            return done > 0 ? done : one;
        done += one;
        if ((size_t)one < parts[i].iov_len)
            break;
    }
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    ssize_t done = syscall(SYS_pwrite64, fd, data, bytes, offset);
    wrote(fd, (uint64_t)offset, data, done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    return pwrite(fd, data, bytes, offset);
}

static int synced(int fd, long call)
{
    char path[PATH_MAX];
    struct stat info;
    int result = (int)syscall(call, fd);
    if (result == 0 && find(fd, path, &info))
        record(SYNC, S_ISDIR(info.st_mode), info.st_ino, 0, path, strlen(path));
    return result;
}

int fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}

int ftruncate(int fd, off_t size)
{
    char path[PATH_MAX];
    struct stat info;
    int result = (int)syscall(SYS_ftruncate, fd, size);
    if (result == 0 && find(fd, path, &info))
        record(TRUNCATE, 0, info.st_ino, (uint64_t)size, "", 0);
    return result;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    char paths[2 * PATH_MAX], last[PATH_MAX];
    absolute(from, old, paths);
    absolute(to, new, last);
    int result = (int)syscall(SYS_renameat2, from, old, to, new, flags);
    if (result == 0 && (is_inside(paths) || is_inside(last))) {
        size_t length = strlen(paths) + 1;
        strcpy(paths + length, last);
        record(RENAME, flags, 0, 0, paths, length + strlen(last));
    }
    return result;
}

int renameat(int from, const char *old, int to, const char *new)
{
    return renameat2(from, old, to, new, 0);
}

int rename(const char *old, const char *new)
{
    return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int unlinkat(int folder, const char *given, int flags)
{
    char path[PATH_MAX];
    absolute(folder, given, path);
    int result = (int)syscall(SYS_unlinkat, folder, given, flags);
    if (result == 0 && is_inside(path))
        record(UNLINK, (uint32_t)flags, 0, 0, path, strlen(path));
    return result;
}

int unlink(const char *given)
{
    return unlinkat(AT_FDCWD, given, 0);
}

int rmdir(const char *given)
{
    return unlinkat(AT_FDCWD, given, AT_REMOVEDIR);
}

int mkdirat(int folder, const char *given, mode_t mode)
{
    char path[PATH_MAX];
    absolute(folder, given, path);
    int result = (int)syscall(SYS_mkdirat, folder, given, mode);
    if (result == 0 && is_inside(path))
        record(MKDIR, 0, 0, 0, path, strlen(path));
    return result;
}

int mkdir(const char *given, mode_t mode)
{
    return mkdirat(AT_FDCWD, given, mode);
}

/* A disk that is full, or that does not keep what it was given, for the program this is preloaded into.
 *
 * While the file named by FAILING_DISK begins with `f`, no regular file grows or is written: ENOSPC. While it begins with
 * `s`, fsync and fdatasync fail with EIO, and what the same thread wrote last is gone, as it is when a kernel drops the
 * pages that it could not write. Standard output and standard error are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static __thread int last_fd = -1;
static __thread off_t last_at;
static __thread size_t last_len;

static int now(char fault) {
    const char *path = getenv("FAILING_DISK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char found = 0;
    if (fd < 0) return 0;
    if (read(fd, &found, 1) != 1) found = 0;
    close(fd);
    return found == fault;
}

static int full(int fd) {
    struct stat status;
    int kept = errno;
    int refused = fd > 2 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && now('f');
    errno = refused ? ENOSPC : kept;
    return refused;
}

static ssize_t at(const char *name, int fd, const void *bytes, size_t len, off_t offset) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, name);
    if (full(fd)) return -1;
    last_fd = fd;
    last_at = offset;
    last_len = len;
    return real(fd, bytes, len, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset) { return at("pwrite", fd, bytes, len, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset) { return at("pwrite64", fd, bytes, len, offset); }

ssize_t write(int fd, const void *bytes, size_t len) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return full(fd) ? -1 : real(fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    return full(fd) ? -1 : real(fd, parts, count);
}

static int lost(int fd) {
    static const char nothing[4096];
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    if (fd <= 2 || !now('s')) return 0;
    for (size_t done = 0; fd == last_fd && done < last_len; done += sizeof nothing) {
        size_t part = last_len - done < sizeof nothing ? last_len - done : sizeof nothing;
        if (real(fd, nothing, part, last_at + (off_t)done) < 0) break;
    }
    errno = EIO;
    return 1;
}

static int synced(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    if (lost(fd)) return -1;
    int done = real(fd);
    /* What is on the disk stays there, whatever fails later. */
    if (done == 0 && fd == last_fd) last_fd = -1;
    return done;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

int close(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "close");
    if (fd == last_fd) last_fd = -1;
    return real(fd);
}

/* A machine that fails, for a program that is started with LD_PRELOAD=fault.so.
 *
 * FAULT="CALL ERRNO AFTER PART": calls of this kind (read, write, fsync, rename) on a file whose path holds PART end
 * with this error, once AFTER of them have gone well in the process.
 * FAULT_CLOCK="SECONDS AFTER": the wall clock is so far behind, once it was asked AFTER times in the process. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char kind[16], part[PATH_MAX];
static int number;
static long calls_left, clock_seconds, looks_left;
static atomic_long calls, looks;

__attribute__((constructor)) static void configure(void) {
    const char *fault = getenv("FAULT"), *moved = getenv("FAULT_CLOCK");
    if (fault) sscanf(fault, "%15s %d %ld %4000s", kind, &number, &calls_left, part);
    if (moved) sscanf(moved, "%ld %ld", &clock_seconds, &looks_left);
}

static int fails(const char *call, const char *path) {
    if (!part[0] || strcmp(call, kind) || !strstr(path, part) || atomic_fetch_add(&calls, 1) < calls_left) return 0;
    errno = number;
    return 1;
}

static int fails_at(const char *call, int descriptor) {
    char link[64], path[PATH_MAX];
    if (!part[0] || strcmp(call, kind)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define NEXT(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t read(int fd, void *to, size_t n) {
    return fails_at("read", fd) ? -1 : NEXT(ssize_t, "read", int, void *, size_t)(fd, to, n);
}
ssize_t pread64(int fd, void *to, size_t n, off_t at) {
    return fails_at("read", fd) ? -1 : NEXT(ssize_t, "pread64", int, void *, size_t, off_t)(fd, to, n, at);
}
ssize_t preadv64(int fd, const struct iovec *to, int n, off_t at) {
    return fails_at("read", fd) ? -1 : NEXT(ssize_t, "preadv64", int, const struct iovec *, int, off_t)(fd, to, n, at);
}
ssize_t write(int fd, const void *from, size_t n) {
    return fails_at("write", fd) ? -1 : NEXT(ssize_t, "write", int, const void *, size_t)(fd, from, n);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off_t at) {
    return fails_at("write", fd) ? -1 : NEXT(ssize_t, "pwrite64", int, const void *, size_t, off_t)(fd, from, n, at);
}
ssize_t writev(int fd, const struct iovec *from, int n) {
    return fails_at("write", fd) ? -1 : NEXT(ssize_t, "writev", int, const struct iovec *, int)(fd, from, n);
}
int fsync(int fd) { return fails_at("fsync", fd) ? -1 : NEXT(int, "fsync", int)(fd); }
int rename(const char *from, const char *to) {
    return fails("rename", to) ? -1 : NEXT(int, "rename", const char *, const char *)(from, to);
}
int renameat(int at, const char *from, int there, const char *to) {
    return fails("rename", to) ? -1 : NEXT(int, "renameat", int, const char *, int, const char *)(at, from, there, to);
}

static long behind(void) { return clock_seconds && atomic_fetch_add(&looks, 1) >= looks_left ? clock_seconds : 0; }

int clock_gettime(clockid_t which, struct timespec *now) {
    int code = NEXT(int, "clock_gettime", clockid_t, struct timespec *)(which, now);
    if (which == CLOCK_REALTIME) now->tv_sec -= behind();
    return code;
}
int gettimeofday(struct timeval *now, void *zone) {
    int code = NEXT(int, "gettimeofday", struct timeval *, void *)(now, zone);
    now->tv_sec -= behind();
    return code;
}
time_t time(time_t *to) {
    time_t now = NEXT(time_t, "time", time_t *)(NULL) - behind();
    if (to) *to = now;
    return now;
}

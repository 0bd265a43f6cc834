/* A disk that fails, for the processes it is preloaded into: after FAULT_AFTER calls that write below FAULT_FOLDER,
 * FAULT_KIND=full makes each further write fail with ENOSPC, FAULT_KIND=fsync each further fsync with EIO.
 *
 *   cc -shared -fPIC -o faults.so faults.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls;

static int is_ours(int fd) {
    const char *folder = getenv("FAULT_FOLDER");
    char link[64], path[4096];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(int fd, const char *kind) {
    const char *wanted = getenv("FAULT_KIND"), *after = getenv("FAULT_AFTER");
    if (!wanted || !after || !is_ours(fd)) return 0;
    long n = strcmp(kind, "count") ? calls : ++calls;
    return n > atol(after) && (strcmp(kind, "count") ? strcmp(wanted, kind) == 0 : strcmp(wanted, "full") == 0);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *b, size_t n) {
    if (fails(fd, "count")) { errno = ENOSPC; return -1; }
    return REAL(write)(fd, b, n);
}
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) {
    if (fails(fd, "count")) { errno = ENOSPC; return -1; }
    return REAL(pwrite)(fd, b, n, o);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) {
    if (fails(fd, "count")) { errno = ENOSPC; return -1; }
    return REAL(pwrite64)(fd, b, n, o);
}
ssize_t writev(int fd, const struct iovec *v, int n) {
    if (fails(fd, "count")) { errno = ENOSPC; return -1; }
    return REAL(writev)(fd, v, n);
}
size_t fwrite(const void *b, size_t size, size_t n, FILE *f) {
    if (fails(fileno(f), "count")) { errno = ENOSPC; return 0; }
    return REAL(fwrite)(b, size, n, f);
}
int fsync(int fd) {
    if (fails(fd, "fsync")) { errno = EIO; return -1; }
    return REAL(fsync)(fd);
}
int fdatasync(int fd) {
    if (fails(fd, "fsync")) { errno = EIO; return -1; }
    return REAL(fdatasync)(fd);
}

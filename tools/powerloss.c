/* Keeps, beside a folder, each of its files as it was when it was last synced: what a power loss
   leaves of them at worst. For tools/torture.py; LD_PRELOAD it. Reads TORTURE_HOME and
   TORTURE_SYNCED, both absolute, from the environment; without them it does nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void keep(int fd) {
  const char *home = getenv("TORTURE_HOME"), *synced = getenv("TORTURE_SYNCED");
  char link[64], path[PATH_MAX], target[PATH_MAX + 8], unfinished[PATH_MAX + 32], room[1 << 16];
  if (!home || !synced) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  size_t prefix = strlen(home);
  if (strncmp(path, home, prefix) || path[prefix] != '/') return;
  snprintf(target, sizeof target, "%s%s", synced, path + prefix);
  snprintf(unfinished, sizeof unfinished, "%s.%d.half", target, fd);
  int out = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (out < 0) return;
  for (off_t at = 0;;) {
    ssize_t size = pread(fd, room, sizeof room, at);
    if (size <= 0 || write(out, room, size) != size) break;
    at += size;
  }
  close(out);
  rename(unfinished, target);
}

#define SYNC(name)                                              \
  int name(int fd) {                                            \
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);   \
    int done = real(fd);                                        \
    if (done == 0) keep(fd);                                    \
    return done;                                                \
  }

SYNC(fsync)
SYNC(fdatasync)

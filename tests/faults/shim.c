/* A disk that fails, below everything a process does: preloaded before libc, for tests on Linux.
 *
 * Calls that change files below one folder are counted (and reads apart from them). At the n-th one fails, or the
 * process is killed there, with what was not brought to the disk kept, lost, or kept in part: a power cut. What was is
 * known from fsync and fdatasync: of a file its bytes, of a folder the names in it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fault { NONE, EIO_ONCE, EIO_ALWAYS, EIO_THEN_LOSE, FULL, SHORT, KILL, LOSE, TEAR, EIO_READ };
static const char *NAMES[] = {"none", "eio", "eio-always", "eio-then-lose", "full", "short", "kill", "lose", "tear", "eio-read"};

enum kind { WRITTEN, CUT_TO, CREATED, MADE, RENAMED, UNLINKED, REMOVED };

struct change { /* not on the disk yet */
  enum kind kind;
  int file; /* a descriptor of the file, for its bytes */
  dev_t dev;
  ino_t ino;
  off_t at, size_before, size_after;
  size_t before, after; /* bytes that were there, and that are there now */
  char *bytes_before, *bytes_after;
  char *name, *other, *stash; /* of a folder's change: what, renamed to what, and where what stood there is kept */
  int is_safe;
};

static struct change *changes;
static size_t known, room;
static long count, reads, at;
static enum fault fault;
static unsigned chance;
static int is_armed, log_file = -1, is_full;
static char under[4096], stash[4096];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...)                                                                                          \
  static type (*real)(__VA_ARGS__);                                                                                    \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t real_pwrite(int file, const void *data, size_t size, off_t place) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
  return real(file, data, size, place);
}
static ssize_t real_pread(int file, void *data, size_t size, off_t place) {
  REAL(ssize_t, "pread64", int, void *, size_t, off_t);
  return real(file, data, size, place);
}
static ssize_t real_write(int file, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  return real(file, data, size);
}
static int real_ftruncate(int file, off_t size) {
  REAL(int, "ftruncate64", int, off_t);
  return real(file, size);
}
static int real_rename(const char *old, const char *name) {
  REAL(int, "rename", const char *, const char *);
  return real(old, name);
}
static int real_unlinkat(int folder, const char *name, int flags) {
  REAL(int, "unlinkat", int, const char *, int);
  return real(folder, name, flags);
}
static int real_mkdir(const char *name, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  return real(name, mode);
}

static int is_below(const char *path) {
  size_t length = strlen(under);
  size_t all = strlen(path);
  if (strncmp(path, under, length) || (path[length] != '/' && path[length])) return 0;
  return all < 4 || strcmp(path + all - 4, "-shm"); /* what SQLite shares between processes is never brought to a disk */
}

/* The path of a descriptor, if it is one of ours. */
static int path_of(int file, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, 4095);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static int path_at(int folder, const char *name, char *path) {
  char base[4096];
  if (name[0] == '/') {
    snprintf(path, 4096, "%s", name);
  } else {
    if (folder == AT_FDCWD) {
      if (!getcwd(base, sizeof base)) return 0;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
      ssize_t length = readlink(link, base, sizeof base - 1);
      if (length < 0) return 0;
      base[length] = 0;
    }
    snprintf(path, 4096, "%.2047s/%.2047s", base, name);
  }
  return is_below(path);
}

static struct change *noted(enum kind kind) {
  if (known == room) {
    room = room ? 2 * room : 256;
    changes = realloc(changes, room * sizeof *changes);
    if (!changes) abort();
  }
  struct change *change = &changes[known++];
  memset(change, 0, sizeof *change);
  change->kind = kind;
  change->file = -1;
  return change;
}

static int is_noting(void) { return fault == LOSE || fault == TEAR || fault == EIO_THEN_LOSE; }

static void note_bytes(enum kind kind, int file, off_t place, const void *data, size_t size) {
  struct stat now;
  if (!is_noting()) return;
  if (fstat(file, &now)) abort();
  struct change *change = noted(kind);
  change->dev = now.st_dev;
  change->ino = now.st_ino;
  for (size_t n = 0; n + 1 < known && change->file < 0; n++)
    if (changes[n].file >= 0 && changes[n].dev == now.st_dev && changes[n].ino == now.st_ino)
      change->file = changes[n].file;
  if (change->file < 0) {
    char path[64]; /* not dup: it may have been opened to write only, or to append */
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    REAL(int, "open64", const char *, int, ...);
    change->file = real(path, O_RDWR | O_CLOEXEC);
    if (change->file < 0) abort();
  }
  change->at = place;
  change->size_before = now.st_size;
  if (kind == CUT_TO) {
    change->size_after = place;
    change->before = place < now.st_size ? now.st_size - place : 0;
  } else {
    change->size_after = place + (off_t)size > now.st_size ? place + (off_t)size : now.st_size;
    change->before = place >= now.st_size ? 0 : place + (off_t)size > now.st_size ? (size_t)(now.st_size - place) : size;
    change->after = size;
    change->bytes_after = malloc(size + 1);
    memcpy(change->bytes_after, data, size);
  }
  change->bytes_before = malloc(change->before + 1);
  if (real_pread(change->file, change->bytes_before, change->before, place) != (ssize_t)change->before) abort();
}

static void note_name(enum kind kind, const char *name, const char *other, char *aside) {
  if (!is_noting()) return;
  struct change *change = noted(kind);
  change->name = strdup(name);
  change->other = other ? strdup(other) : NULL;
  change->stash = aside;
}

/* Keep what stands under a name that is about to lose it; returns where. */
static char *kept(const char *path) {
  char name[8192];
  if (!is_noting()) return NULL;
  snprintf(name, sizeof name, "%s/%zu-%d", stash, known, getpid());
  return link(path, name) ? NULL : strdup(name);
}

static void undo(const struct change *change) {
  switch (change->kind) {
    case WRITTEN:
    case CUT_TO:
      real_ftruncate(change->file, change->size_before);
      real_pwrite(change->file, change->bytes_before, change->before, change->at);
      break;
    case CREATED: real_unlinkat(AT_FDCWD, change->name, 0); break;
    case MADE: real_unlinkat(AT_FDCWD, change->name, AT_REMOVEDIR); break;
    case RENAMED:
      real_rename(change->other, change->name);
      if (change->stash) real_rename(change->stash, change->other);
      break;
    case UNLINKED: if (change->stash) real_rename(change->stash, change->name); break;
    case REMOVED: real_mkdir(change->name, 0755); break;
  }
}

/* The power goes: names are kept up to some change, as file systems with a journal keep them; bytes by chance. */
static void cut_power(void) {
  size_t names = 0, names_kept = 0;
  int keeps = fault == TEAR;
  for (size_t n = 0; n < known; n++) names += !changes[n].is_safe && changes[n].kind > CUT_TO;
  if (keeps && names) names_kept = rand_r(&chance) % (names + 1);
  size_t name = names;
  char *was_undone = calloc(known + 1, 1);
  for (size_t n = known; n-- > 0;) {
    if (changes[n].is_safe) continue;
    if (changes[n].kind > CUT_TO && --name < names_kept) continue;
    undo(&changes[n]);
    was_undone[n] = 1;
  }
  for (size_t n = 0; keeps && n < known; n++) {
    struct change *change = &changes[n];
    if (!was_undone[n] || change->kind > CUT_TO || rand_r(&chance) % 3 == 0) continue;
    if (change->kind == CUT_TO) {
      real_ftruncate(change->file, change->size_after);
      continue;
    }
    size_t size = change->after;
    if (rand_r(&chance) % 4 == 0) size = size > 512 ? rand_r(&chance) % (size / 512) * 512 : 0; /* torn at a sector */
    real_pwrite(change->file, change->bytes_after, size, change->at);
  }
  free(was_undone);
}

/* Count a change about to be made; returns 0, or the error it ends with. A caller holds the lock. */
static int met(const char *what, const char *path, size_t size, int takes_room) {
  count++;
  if (log_file >= 0) dprintf(log_file, "%s %s %zu\n", what, path + strlen(under), size);
  if (is_full && takes_room) return ENOSPC;
  if (!fault || fault == EIO_READ || count < at || (count > at && fault != EIO_ALWAYS)) return 0;
  switch (fault) {
    case EIO_ONCE:
    case EIO_THEN_LOSE:
    case EIO_ALWAYS: return EIO;
    case FULL: is_full = 1; return takes_room ? ENOSPC : 0;
    case SHORT: is_full = 1; return 0; /* the caller writes half */
    case LOSE:
    case TEAR:
      if (fault == LOSE || takes_room == 0) {
        cut_power();
        kill(getpid(), SIGKILL);
      }
      return 0; /* of a write that is torn, part may be there: the caller ends it */
    default: kill(getpid(), SIGKILL); pause();
  }
  return 0;
}

static int is_last(void) { return fault == TEAR && count >= at; }
static void end(void) {
  cut_power();
  kill(getpid(), SIGKILL);
  pause();
}

static ssize_t change_bytes(int file, const void *data, size_t size, off_t place, int has_place) {
  char path[4096];
  if (!is_armed || !path_of(file, path)) return has_place ? real_pwrite(file, data, size, place) : real_write(file, data, size);
  pthread_mutex_lock(&lock);
  int error = met("write", path, size, 1);
  ssize_t done = -1;
  if (!error) {
    if (!has_place) place = fcntl(file, F_GETFL) & O_APPEND ? lseek(file, 0, SEEK_END) : lseek(file, 0, SEEK_CUR);
    if (fault == SHORT && count == at && size > 1) size /= 2;
    note_bytes(WRITTEN, file, place, data, size);
    done = has_place ? real_pwrite(file, data, size, place) : real_write(file, data, size);
    if (is_last()) end();
  }
  pthread_mutex_unlock(&lock);
  if (error) errno = error;
  return done;
}

ssize_t write(int file, const void *data, size_t size) { return change_bytes(file, data, size, 0, 0); }
ssize_t pwrite(int file, const void *data, size_t size, off_t place) { return change_bytes(file, data, size, place, 1); }
ssize_t pwrite64(int file, const void *data, size_t size, off_t place) { return change_bytes(file, data, size, place, 1); }

/* Copies within the kernel would go unseen: who asks for one copies by reading and writing. */
ssize_t sendfile(int out, int in, off_t *place, size_t size) { (void)out, (void)in, (void)place, (void)size; errno = EINVAL; return -1; }
ssize_t sendfile64(int out, int in, off_t *place, size_t size) { return sendfile(out, in, place, size); }
ssize_t copy_file_range(int in, off_t *a, int out, off_t *b, size_t size, unsigned flags) {
  (void)in, (void)a, (void)out, (void)b, (void)size, (void)flags;
  errno = EXDEV;
  return -1;
}

int ftruncate64(int file, off_t size) {
  char path[4096];
  if (!is_armed || !path_of(file, path)) return real_ftruncate(file, size);
  pthread_mutex_lock(&lock);
  int error = met("truncate", path, size, 0);
  if (!error) note_bytes(CUT_TO, file, size, NULL, 0);
  int done = error ? -1 : real_ftruncate(file, size);
  pthread_mutex_unlock(&lock);
  if (error) errno = error;
  return done;
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

static int is_in(const char *name, const char *folder) {
  size_t length = strlen(folder);
  return name && !strncmp(name, folder, length) && name[length] == '/' && !strchr(name + length + 1, '/');
}

static int synced(int file, int (*real)(int)) {
  char path[4096];
  if (!is_armed || !path_of(file, path)) return real(file);
  pthread_mutex_lock(&lock);
  struct stat now;
  int error = met("sync", path, 0, 0);
  if (!error && !fstat(file, &now)) {
    for (size_t n = 0; n < known; n++) {
      struct change *change = &changes[n];
      if (change->kind <= CUT_TO) change->is_safe |= change->dev == now.st_dev && change->ino == now.st_ino;
      else if (S_ISDIR(now.st_mode)) change->is_safe |= is_in(change->name, path) || is_in(change->other, path);
    }
  }
  pthread_mutex_unlock(&lock); /* memory has it: the disk is not waited for */
  if (error) errno = error;
  return error ? -1 : 0;
}

int fsync(int file) {
  REAL(int, "fsync", int);
  return synced(file, real);
}
int fdatasync(int file) {
  REAL(int, "fdatasync", int);
  return synced(file, real);
}

static int opened(int folder, const char *name, int flags, mode_t mode) {
  REAL(int, "openat64", int, const char *, int, ...);
  char path[4096];
  if (!is_armed || !(flags & (O_CREAT | O_TRUNC)) || !path_at(folder, name, path)) return real(folder, name, flags, mode);
  pthread_mutex_lock(&lock);
  struct stat now;
  int is_there = !stat(path, &now), error = 0, file = -1;
  if (!is_there && flags & O_CREAT) {
    error = met("create", path, 0, 1);
    if (!error && (file = real(folder, name, flags, mode)) >= 0) note_name(CREATED, path, NULL, NULL);
    if (!error && is_last()) end();
  } else if (is_there && flags & O_TRUNC && now.st_size) {
    error = met("truncate", path, 0, 0);
    int whole = error ? -1 : real(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (whole >= 0) {
      note_bytes(CUT_TO, whole, 0, NULL, 0);
      close(whole);
    }
    if (!error) file = real(folder, name, flags, mode);
  } else {
    file = real(folder, name, flags, mode);
  }
  pthread_mutex_unlock(&lock);
  if (error) errno = error;
  return file;
}

#define MODE                                                                                                           \
  mode_t mode = 0;                                                                                                     \
  if (flags & (O_CREAT | O_TMPFILE)) {                                                                                 \
    va_list given;                                                                                                     \
    va_start(given, flags);                                                                                            \
    mode = va_arg(given, mode_t);                                                                                      \
    va_end(given);                                                                                                     \
  }
int open(const char *name, int flags, ...) { MODE return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE return opened(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE return opened(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE return opened(folder, name, flags, mode); }

int rename(const char *old, const char *name) {
  char from[4096], to[4096];
  int is_ours = is_armed && path_at(AT_FDCWD, old, from);
  if (!is_ours || !path_at(AT_FDCWD, name, to)) return real_rename(old, name);
  pthread_mutex_lock(&lock);
  int error = met("rename", to, 0, 0), done = -1;
  if (!error) {
    char *aside = kept(to);
    done = real_rename(old, name);
    if (!done) note_name(RENAMED, from, to, aside);
  }
  pthread_mutex_unlock(&lock);
  if (error) errno = error;
  return done;
}

int unlinkat(int folder, const char *name, int flags) {
  char path[4096];
  if (!is_armed || !path_at(folder, name, path)) return real_unlinkat(folder, name, flags);
  pthread_mutex_lock(&lock);
  int error = met("unlink", path, 0, 0), done = -1;
  if (!error) {
    char *aside = flags & AT_REMOVEDIR ? NULL : kept(path);
    done = real_unlinkat(folder, name, flags);
    if (!done) note_name(flags & AT_REMOVEDIR ? REMOVED : UNLINKED, path, NULL, aside);
  }
  pthread_mutex_unlock(&lock);
  if (error) errno = error;
  return done;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdir(const char *name, mode_t mode) {
  char path[4096];
  if (!is_armed || !path_at(AT_FDCWD, name, path) || !access(path, F_OK)) return real_mkdir(name, mode);
  pthread_mutex_lock(&lock);
  int error = met("create", path, 0, 1), done = -1;
  if (!error && !(done = real_mkdir(name, mode))) note_name(MADE, path, NULL, NULL);
  if (!error && is_last()) end();
  pthread_mutex_unlock(&lock);
  if (error) errno = error;
  return done;
}

static int is_unread(int file) {
  char path[4096];
  if (!is_armed || fault != EIO_READ || !path_of(file, path)) return 0;
  pthread_mutex_lock(&lock);
  int fails = ++reads == at;
  pthread_mutex_unlock(&lock);
  if (fails) errno = EIO;
  return fails;
}
ssize_t pread64(int file, void *data, size_t size, off_t place) { return is_unread(file) ? -1 : real_pread(file, data, size, place); }
ssize_t pread(int file, void *data, size_t size, off_t place) { return pread64(file, data, size, place); }
ssize_t read(int file, void *data, size_t size) {
  REAL(ssize_t, "read", int, void *, size_t);
  return is_unread(file) ? -1 : real(file, data, size);
}

/* Count from now on what is done below a folder, and do what is asked for at the n-th (0: nothing). Returns 0. */
int fault_arm(const char *folder, const char *aside, long number, const char *what, unsigned seed, const char *told) {
  snprintf(under, sizeof under, "%s", folder);
  snprintf(stash, sizeof stash, "%s", aside);
  if (told[0]) log_file = opened(AT_FDCWD, told, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  for (size_t n = 0; n < sizeof NAMES / sizeof *NAMES; n++)
    if (!strcmp(NAMES[n], what)) fault = n;
  at = number;
  chance = seed;
  is_armed = 1;
  return strcmp(NAMES[fault], what);
}
/* The process ends here, and the power goes at once where that was asked for behind its last change. */
void fault_end(void) {
  pthread_mutex_lock(&lock);
  if (is_noting()) cut_power();
  is_armed = 0;
  pthread_mutex_unlock(&lock);
}
long fault_count(void) { return fault == EIO_READ ? reads : count; }

/* A log file and its index. */
#ifndef STORE_H
#define STORE_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "index.h"
#include "kvlog.h"

enum store_mode {
    STORE_READ,
    STORE_WRITE,
    STORE_CREATE /* like WRITE, and makes the file where there is none */
};

struct store_stats {
    size_t records;
    size_t damaged;
    uint64_t torn; /* bytes of a record that the file ends in */
};

struct store {
    char *path;
    int fd;
    struct index index;
    struct store_stats stats;
    uint64_t end;        /* where the next record goes */
    uint32_t seq;        /* number of the last record */
    uint64_t superseded; /* bytes of records that no longer count */
    struct buf scratch;
};

/* Reads the file into the index; with WRITE or CREATE a torn record at its end is cut off. */
enum kv_status store_open(struct store *s, const char *path, enum store_mode mode);
void store_close(struct store *s);

enum kv_status store_get(struct store *s, const void *key, size_t klen, struct buf *out);
enum kv_status store_put(struct store *s, const void *key, size_t klen, const void *value, size_t vlen);
enum kv_status store_del(struct store *s, const void *key, size_t klen);

/* Appends the value of an entry of the index. */
enum kv_status store_value(struct store *s, const struct entry *e, struct buf *out);

int store_wants_compaction(const struct store *s);
enum kv_status store_compact(struct store *s);

#endif

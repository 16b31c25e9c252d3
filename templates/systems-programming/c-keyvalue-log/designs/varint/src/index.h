/* Robin Hood hashing from keys to the place of their newest frame. */
#ifndef INDEX_H
#define INDEX_H

#include <stddef.h>
#include <stdint.h>

struct entry {
    uint8_t *key;
    size_t klen;
    size_t at;   /* offset of the frame in the log */
    size_t span; /* length of the frame */
    uint32_t hash;
    uint32_t dist; /* 1 + how far it lies from its home slot; 0 in a free slot */
};

struct index {
    struct entry *slots;
    size_t cap; /* a power of two, or 0 */
    size_t used;
};

/* The entry of a key, or NULL; it moves when the index changes. */
struct entry *index_find(const struct index *ix, const void *key, size_t klen);
void index_set(struct index *ix, const void *key, size_t klen, size_t at, size_t span);
void index_remove(struct index *ix, struct entry *e);
void index_free(struct index *ix);

/* All entries in byte order of their keys; free() the list. */
struct entry **index_sorted(const struct index *ix, size_t *count);

#endif

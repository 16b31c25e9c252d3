/* Records as they lie in a file: docs/format.md. */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum { FILE_HEADER = 8, RECORD_HEADER = 16 };
enum record_kind { RECORD_PUT = 1, RECORD_DEL = 2 };

enum record_state {
    RECORD_WHOLE,
    RECORD_MISMATCH, /* whole, but not what was written */
    RECORD_TORN,     /* the file ends before the record does */
    RECORD_SENSELESS /* no header that kvlog could have written */
};

struct record {
    uint8_t kind;
    uint16_t klen;
    uint32_t vlen;
    uint32_t seq;
    const uint8_t *key;
    const uint8_t *value;
    uint64_t span; /* bytes in the file, header included */
};

uint32_t crc32_update(uint32_t crc, const void *bytes, size_t n);

void file_header(uint8_t out[FILE_HEADER]);

/* Appends the encoded record. */
void record_encode(struct buf *out, const struct record *r);

/* Reads the record at `at` of a file of `size` bytes; key and value point into `scratch`. */
enum record_state record_read(int fd, uint64_t at, uint64_t size, struct record *r, struct buf *scratch);

#endif

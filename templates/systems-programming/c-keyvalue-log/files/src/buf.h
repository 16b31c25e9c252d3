/* A growable run of bytes. Running out of memory ends the program. */
#ifndef BUF_H
#define BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* Makes room for `extra` bytes after the ones that are there. */
void buf_reserve(struct buf *b, size_t extra);
void buf_put(struct buf *b, const void *bytes, size_t n);
void buf_putc(struct buf *b, uint8_t byte);
void buf_clear(struct buf *b);
void buf_free(struct buf *b);

#endif

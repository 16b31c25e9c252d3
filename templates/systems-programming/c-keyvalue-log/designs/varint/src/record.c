#include "record.h"

#include <string.h>

#include "kvlog.h"

const uint8_t LOG_MAGIC[LOG_START] = {'K', 'V', 'F', 2};

enum { VARINT_MAX = 4 };

/* CRC-32, as in zlib, a nibble at a time. */
static uint32_t crc32(const uint8_t *p, size_t n)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t c = 0xffffffffu;

    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        c = c >> 4 ^ nibble[c & 15];
        c = c >> 4 ^ nibble[c & 15];
    }
    return ~c;
}

static size_t varint_size(size_t v)
{
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

static void varint_put(struct buf *out, size_t v)
{
    while (v > 127) {
        buf_putc(out, (uint8_t)(v | 128));
        v >>= 7;
    }
    buf_putc(out, (uint8_t)v);
}

/* Bytes that the number takes; 0 where the input ends before it does, -1 where it is too long. */
static int varint_get(const uint8_t *p, size_t n, uint32_t *v)
{
    *v = 0;
    for (int i = 0; i < VARINT_MAX; i++) {
        if ((size_t)i == n)
            return 0;
        *v |= (uint32_t)(p[i] & 127) << 7 * i;
        if (p[i] < 128)
            return i + 1;
    }
    return -1;
}

void frame_write(struct buf *out, const void *key, size_t klen, const void *value, size_t vlen)
{
    size_t body = 1 + varint_size(klen) + klen + vlen;
    size_t start;
    uint8_t sum[FRAME_SUM];

    buf_reserve(out, VARINT_MAX + body + FRAME_SUM);
    varint_put(out, body);
    start = out->len;
    buf_putc(out, value ? 'P' : 'D');
    varint_put(out, klen);
    buf_put(out, key, klen);
    buf_put(out, value, vlen);

    uint32_t c = crc32(out->data + start, body);
    for (int i = 0; i < FRAME_SUM; i++)
        sum[i] = (uint8_t)(c >> 8 * i);
    buf_put(out, sum, FRAME_SUM);
}

enum frame_state frame_parse(const uint8_t *bytes, size_t n, struct frame *f)
{
    uint32_t number;
    int head = varint_get(bytes, n, &number);

    if (head == 0)
        return FRAME_TORN;
    if (head < 0 || number < 3 || number > KV_KEY_MAX + KV_VALUE_MAX + 8)
        return FRAME_UNKNOWN;
    f->body = number;
    f->span = (size_t)head + f->body + FRAME_SUM;
    if (n < f->span)
        return FRAME_TORN;

    const uint8_t *body = bytes + head;
    int klen_size = varint_get(body + 1, f->body - 1, &number);
    if ((body[0] != 'P' && body[0] != 'D') || klen_size <= 0 || number == 0 || number > KV_KEY_MAX ||
        1 + (size_t)klen_size + number > f->body)
        return FRAME_UNKNOWN;
    f->kind = (char)body[0];
    f->klen = number;
    f->key = body + 1 + klen_size;
    f->value = f->key + f->klen;
    f->vlen = f->body - 1 - (size_t)klen_size - f->klen;

    const uint8_t *sum = body + f->body;
    uint32_t want = sum[0] | (uint32_t)sum[1] << 8 | (uint32_t)sum[2] << 16 | (uint32_t)sum[3] << 24;
    return crc32(body, f->body) == want ? FRAME_OK : FRAME_DAMAGED;
}

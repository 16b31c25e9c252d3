/* The text form of keys and values, and the lines of import and export. */
#ifndef TEXT_H
#define TEXT_H

#include <stdio.h>

#include "buf.h"
#include "kvlog.h"
#include "store.h"

/* Appends the escaped form of some bytes. */
void text_escape(struct buf *out, const uint8_t *bytes, size_t n);

/* Appends the bytes that an escaped text stands for; 0, or -1 where it is malformed. */
int text_unescape(struct buf *out, const char *text, size_t n);

/* Applies the lines of `in` to the store and counts what they did. */
struct import_counts {
    size_t puts;
    size_t deletes;
};
enum kv_status text_import(struct store *s, FILE *in, const char *name, struct import_counts *counts);

/* Writes the live entries in key order. */
enum kv_status text_export(struct store *s, FILE *out);

/* Writes the live keys in order, one a line. */
enum kv_status text_list(struct store *s, FILE *out);

#endif

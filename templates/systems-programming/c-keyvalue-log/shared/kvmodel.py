"""An independent reading of docs/format.md, a model of the store, and the data that both are fed with."""

import functools
import random
import re
import zlib

FIXED, VARINT = "fixed", "varint"


class FormatError(Exception):
    """The bytes are no file that the documents allow."""


# --- the two layouts ------------------------------------------------------------------------------------------------


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def header(layout):
    return b"KVLG\x02\0\0\0" if layout == FIXED else b"KVF\x02"


def record(layout, key, value, seq=0):
    """One record; a value of None is a deletion."""
    if layout == FIXED:
        data = value or b""
        rest = bytes([1 if value is not None else 2, 0]) + len(key).to_bytes(2, "little")
        rest += len(data).to_bytes(4, "little") + seq.to_bytes(4, "little") + key + data
        return zlib.crc32(rest).to_bytes(4, "little") + rest
    body = (b"D" if value is None else b"P") + _varint(len(key)) + key + (value or b"")
    return _varint(len(body)) + body + zlib.crc32(body).to_bytes(4, "little")


def span(layout, key, value):
    return len(record(layout, key, value))


def encode(layout, records, torn=b""):
    parts = [header(layout)]
    parts += [record(layout, key, value, seq) for seq, (key, value) in enumerate(records, 1)]
    return b"".join(parts) + torn


def decode(layout, data):
    """The records of a sound file. Anything that is not as documented is an error."""
    start = len(header(layout))
    if data[:start] != header(layout):
        raise FormatError("the file does not begin as documented")
    return _decode_fixed(data, start) if layout == FIXED else _decode_varint(data, start)


def _decode_fixed(data, at):
    records = []
    while at < len(data):
        head = data[at : at + 16]
        if len(head) < 16:
            raise FormatError(f"torn header at {at}")
        crc, kind = int.from_bytes(head[:4], "little"), head[4]
        klen, vlen = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:12], "little")
        end = at + 16 + klen + vlen
        if kind not in (1, 2) or head[5] or not 1 <= klen <= 1024 or vlen > 1 << 20 or (kind == 2 and vlen):
            raise FormatError(f"no record header at {at}")
        if end > len(data):
            raise FormatError(f"torn record at {at}")
        if zlib.crc32(data[at + 4 : end]) != crc:
            raise FormatError(f"wrong checksum at {at}")
        if int.from_bytes(head[12:16], "little") != len(records) + 1:
            raise FormatError(f"record {len(records) + 1} at {at} has another number")
        body = data[at + 16 : end]
        records.append((body[:klen], body[klen:] if kind == 1 else None))
        at = end
    return records


def _decode_varint(data, start):
    def number(at):
        value = 0
        for n in range(4):
            if at + n >= len(data):
                raise FormatError(f"torn frame at {at}")
            value |= (data[at + n] & 127) << 7 * n
            if data[at + n] < 128:
                return value, at + n + 1
        raise FormatError(f"no length at {at}")

    records, at = [], start
    while at < len(data):
        length, body_at = number(at)
        end = body_at + length
        if end + 4 > len(data):
            raise FormatError(f"torn frame at {at}")
        body = data[body_at:end]
        if zlib.crc32(body) != int.from_bytes(data[end : end + 4], "little"):
            raise FormatError(f"wrong sum at {at}")
        klen, key_at = number(body_at + 1)
        key, value = data[key_at : key_at + klen], data[key_at + klen : end]
        if body[:1] not in (b"P", b"D") or not 1 <= klen <= 1024 or key_at + klen > end:
            raise FormatError(f"no frame at {at}")
        if body[:1] == b"D" and value:
            raise FormatError(f"a deletion with a value at {at}")
        records.append((key, value if body[:1] == b"P" else None))
        at = end + 4
    return records


# --- the text form --------------------------------------------------------------------------------------------------

_SHORT = {9: b"\\t", 10: b"\\n", 13: b"\\r", 92: b"\\\\"}
_ESCAPED = [_SHORT.get(c) or (bytes([c]) if 32 <= c <= 126 else b"\\x%02x" % c) for c in range(256)]
_SPECIAL = re.compile(rb"[^ -\[\]-~]")


@functools.lru_cache(maxsize=None)
def escape(data):
    if not _SPECIAL.search(data):
        return data
    return b"".join([_ESCAPED[c] for c in data])


def line(key, value):
    return escape(key) + (b"" if value is None else b"\t" + escape(value)) + b"\n"


def lines(operations):
    return b"".join(line(key, value) for key, value in operations)


def export(live):
    return b"".join(line(key, live[key]) for key in sorted(live))


# --- the model ------------------------------------------------------------------------------------------------------


def replay(operations, live=None):
    """What is live afterwards, and how many puts and deletions took effect."""
    live, puts, deletes = dict(live or {}), 0, 0
    for key, value in operations:
        if value is not None:
            live[key], puts = value, puts + 1
        elif key in live:
            del live[key]
            deletes += 1
    return live, puts, deletes


class Weighed:
    """Counts bytes as docs/cli.md says, to know when an import compacts."""

    def __init__(self, layout, minimum):
        self.layout, self.minimum = layout, minimum
        self.spans, self.superseded, self.compactions = {}, 0, 0
        self.end = len(header(layout))

    def apply(self, key, value, importing):
        if value is None and key not in self.spans:
            return
        size = span(self.layout, key, value)
        self.superseded += self.spans.pop(key, 0) + (size if value is None else 0)
        if value is not None:
            self.spans[key] = size
        self.end += size
        if importing and self.end > self.minimum and self.superseded * 2 > self.end:
            self.end = len(header(self.layout)) + sum(self.spans.values())
            self.superseded, self.compactions = 0, self.compactions + 1


# --- data -----------------------------------------------------------------------------------------------------------

WORDS = (
    "amber basket candle drawer engine fabric garden handle island jacket kettle ladder mirror needle office pepper "
    "quarry ribbon saddle timber umbrella valley window yarrow"
).split()
ACCENTS = ["Größe", "naïve", "señal", "łódka", "čas", "été", "Ærø", "ışık"]


class Data:
    """Keys and values in the manner of one kind of store."""

    def __init__(self, seed, shape, count):
        self.random = random.Random(seed)
        self.shape = shape
        self.keys = []
        while len(self.keys) < count:
            key = self.new_key()
            if key not in self.keys:
                self.keys.append(key)

    def new_key(self):
        r = self.random
        word = r.choice(WORDS)
        return {
            "devices": lambda: f"dev/{r.randrange(10000):04d}/{r.choice(['config', 'state', 'owner'])}",
            "sessions": lambda: f"sess:{r.getrandbits(48):012x}",
            "thumbnails": lambda: f"img/{r.randrange(100000)}/{r.choice([64, 128, 256])}",
            "translations": lambda: f"{word}.{r.choice(WORDS)}/{r.choice(['de', 'fr', 'pl', 'tr', 'da'])}",
            "jobs": lambda: f"job-{r.randrange(20000, 99999)}",
        }[self.shape]().encode()

    def value(self, low=20, high=620):
        r = self.random
        size = r.randint(low, high)
        binary = {"thumbnails": 0.8, "sessions": 0.5}.get(self.shape, 0.12)
        if r.random() < binary:
            return r.randbytes(size)
        if self.shape == "translations":
            words = [r.choice(WORDS + ACCENTS) for _ in range(size // 6 + 1)]
            return " ".join(words).encode()[:size].decode("utf-8", "ignore").encode()
        fields = [f'"{r.choice(WORDS)}": {r.randrange(100000)}' for _ in range(size // 16 + 1)]
        return ("{" + ", ".join(fields) + "}").encode()

    def boundary(self, around):
        """A value that brings key and value to just under a power of two, for a key of the given length."""
        return self.random.choice([512, 1024, 2048, 4096, 8192, 16384]) - around - self.random.randint(0, 2)

    def change(self, keys, weight_delete=0.22):
        r = self.random
        key = r.choice(keys)
        return (key, None) if r.random() < weight_delete else (key, self.value())

    def large(self, low=66000, high=90000):
        r = self.random
        size = r.randint(low, high)
        block = (self.value(300, 400) + b"\n") * (size // 300 + 1)
        return block[:size]


def effective(operations):
    """Without the deletions of what is not there, which are never written."""
    live, kept = set(), []
    for key, value in operations:
        if value is not None or key in live:
            kept.append((key, value))
            (live.add if value is not None else live.discard)(key)
    return kept


def batch(name, size):
    """The entry with which a night's run ends."""
    return f"meta/batch/{name}".encode(), str(size).encode()


def nightly(layout, shape, causes, compact_kib, seed, torn, batches):
    """A store and the lines that are to be imported into it.

    Gives (records, torn bytes, feed). The last whole record of the store is of a key that nothing else touches, the
    import compacts twice on the way, and a good part of the feed, with new keys in it, comes after that.
    """
    data = Data(seed, shape, 250)
    r = data.random
    hot, cold, fresh = data.keys[:130], data.keys[130:195], data.keys[195:]
    base = [(key, data.value()) for key in hot + cold]
    r.shuffle(base)
    base += [data.change(hot, 0.4) for _ in range(220)]
    for key in r.sample(cold, 3):
        base.append((key, r.randbytes(r.randint(1500, 6000))))
    for key in r.sample(cold, 4):
        base.append((key, r.randbytes(data.boundary(len(key)))))
    if "length" in causes:
        for key in r.sample(cold, 2):
            base.insert(r.randrange(len(base) // 2, len(base)), (key, data.large()))
    base.append(batch(batches[0], len(base)))
    base = effective(base)

    weighed = Weighed(layout, compact_kib * 1024)
    for key, value in base:
        weighed.apply(key, value, importing=False)
    feed, after = [], 0
    while after < 60:
        pick = r.random()
        if pick < 0.06 or after == 30:
            operation = (r.choice(fresh), data.value())
        elif pick < 0.08:
            key = r.choice(hot)
            operation = (key, r.randbytes(data.boundary(len(key))))
        else:
            operation = data.change(hot, 0.34)
        feed.append(operation)
        weighed.apply(*operation, importing=True)
        after = after + 1 if weighed.compactions >= 2 else 0
    feed.append(batch(batches[1], len(feed)))
    tail = b""
    if torn:
        whole = record(layout, fresh[0], data.value(200, 400), len(base) + 1)
        if layout == VARINT and "recovery" in causes:
            tail = whole[: r.randint(1, 7)]
        else:
            tail = whole[: r.randint(1, len(whole) - 1)]
    return base, tail, feed

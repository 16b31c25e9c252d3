"""The files under data/, from the parameters."""

import kvmodel as kv


def store(parameters):
    return kv.nightly(
        parameters["layout"],
        parameters["shape"],
        parameters["causes"],
        parameters["compact_kib"],
        parameters["data_seed"],
        parameters["torn"],
        parameters["batches"],
    )


def archive(parameters):
    """An old file with one damaged record, which hides nothing but itself."""
    data = kv.Data(parameters["data_seed"] + 1, parameters["shape"], 16)
    records = [(key, data.value()) for key in data.keys]
    kept = records + [data.change(data.keys[1:], 0) for _ in range(14)]
    whole = bytearray(kv.encode(parameters["layout"], kept))
    first = len(kv.header(parameters["layout"])) + kv.span(parameters["layout"], *kept[0])
    whole[first - 6] ^= 0x20
    return bytes(whole), kept


def files(parameters):
    records, torn, feed = store(parameters)
    return {
        f"{parameters['shape']}.kvl": kv.encode(parameters["layout"], records, torn),
        "feed.tsv": kv.lines(feed),
        "archive.kvl": archive(parameters)[0],
    }

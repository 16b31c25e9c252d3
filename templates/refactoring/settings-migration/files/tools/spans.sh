#!/bin/sh
# How long is that? spans.sh SECONDS...
for seconds in "$@"; do
    printf '%s\t%dd%02dh%02dm%02ds\n' "$seconds" $((seconds / 86400)) $((seconds / 3600 % 24)) $((seconds / 60 % 60)) $((seconds % 60))
done

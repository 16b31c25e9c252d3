%% if bench
"""Times a command over a file that is repeated until it is large."""

import subprocess
import sys
import time


def main(command):
    best = None
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        passed = time.perf_counter() - begin
        best = passed if best is None else min(best, passed)
    print(f"{best:.3f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
%% end

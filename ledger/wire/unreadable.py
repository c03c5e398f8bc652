"""What reading JSON, MessagePack or TOML raises where the bytes are not what they should be."""

import msgspec

# The libraries' own errors are not all. msgspec lets a text that is no UTF-8 out as Python's `UnicodeDecodeError`, and
# deep nesting as `RecursionError`; tomllib an integer of more digits than Python reads as a plain `ValueError`.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

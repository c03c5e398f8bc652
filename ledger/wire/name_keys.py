"""How an account with several names calls what it keeps under another name than its own."""

NAMED = "~"  # how the key of what is kept under another name than the account's own begins
LINE = "\n"  # behind that name


def under(name: str, key: str) -> str:
    """Return how an account calls what has a key under one of its names; its own is empty."""
    return f"{NAMED}{name}{LINE}{key}" if name else key


def named(key: str) -> tuple[str, str]:
    """Return the name that something is kept under, empty for the account's own, and its key there."""
    name, line, own = key.partition(LINE)
    return (name[len(NAMED) :], own) if line and name.startswith(NAMED) else ("", key)

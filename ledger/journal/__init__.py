"""The shell of the core: what keeps entries, accounts and pages, and the one owner that decides a partition."""

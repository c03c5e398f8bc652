"""What another rule book would decide: backtests of history, quotes of a cart."""

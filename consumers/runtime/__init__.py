"""What takes a stream in: the intake, the loop that owns partitions, its retries and its events."""

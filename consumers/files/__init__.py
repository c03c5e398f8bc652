"""Facts from files: read, routed to their partitions, fed to a stream."""

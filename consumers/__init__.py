"""What flows in: the stream port, Kafka and local streams, intake, dead letters, outcomes, importers."""

"""The facts stream on Kafka: one port, two clients."""

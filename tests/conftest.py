"""What is started once for the whole run, whichever tests ask for it."""

pytest_plugins = ["tests.brokers", "tests.browsers", "tests.databases"]

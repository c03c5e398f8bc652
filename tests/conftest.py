"""What is started once for the whole run, whichever tests ask for it."""

pytest_plugins = ["tests.support.brokers", "tests.support.browsers", "tests.support.databases"]

"""What is started once for the whole run, whichever tests ask for it."""

import signal

pytest_plugins = ["tests.support.brokers", "tests.support.browsers", "tests.support.databases"]

# A shell that starts the run in the background (`make test &`) has it ignore SIGINT, and what the run starts inherits
# that: a test that stops a command so would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""What is started once for the whole run, whichever tests ask for it."""

import os
import signal
import sys
from pathlib import Path

pytest_plugins = ["tests.support.brokers", "tests.support.browsers", "tests.support.databases", "tests.support.engines"]

# A shell that starts the run in the background (`make test &`) has it ignore SIGINT, and what the run starts inherits
# that: a test that stops a command so would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The names of a book are shown in the language that the reader's locale asks for: the tests ask for none.
os.environ["LC_ALL"] = "C.UTF-8"
os.environ.pop("POINTS_LANGUAGE", None)
os.environ.pop("POINTS_LANG", None)

# Hundreds of commands are run, each a process: where the environment has Python keep no bytecode, each of them would
# compile the whole product anew. It is kept beside the caches of the tests.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": sys.pycache_prefix}

"""The shell: settings, wiring, command line, HTTP API, console, metrics."""

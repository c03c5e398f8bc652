"""Views that are kept: folds of the entries in files of their own, disposable, rebuilt at will.

A view is one file (`projections.views.view` says what it consists of). The runner follows the journals with it; what
time alone changes is computed when it is read. The built-in ones are in `builtin/`, and `registry` knows all of them.
"""

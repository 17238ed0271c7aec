"""The lab: a real Debian in a box, with a real Postfix, and receivers outside of it that act as the big operators do.

In: everything that only the lab needs. Out: the daemon itself, which is installed in the box as its users install it.
README.md says what is where, how to write a test, and how to look inside.
"""

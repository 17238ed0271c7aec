"""Data: operators and reply rules as TOML, each rule with the replies it must match and those it must not.

In: *.toml, parsed by `config.rule_files` (the caller reads the bytes, in alphabetical order). Out: code. docs/rules.md tells
how to add a rule; the user's own files are read after these and may override or remove any of them.
"""

"""Stop rules: how much evidence within how long halts what, for how long. Data, with the source of each number."""

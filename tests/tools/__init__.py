"""Tools for developers and tests: the generator of realistic logs and the player that makes a log look live."""

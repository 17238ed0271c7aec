"""`python -m pwmtad` is `pwmtad`."""

from pwmtad.cli import main

if __name__ == "__main__":
    main()

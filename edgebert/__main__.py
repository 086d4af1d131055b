"""`python -m edgebert` is the command line."""

from edgebert.cli import main

if __name__ == "__main__":
    main()

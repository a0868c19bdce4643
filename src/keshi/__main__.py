"""`python -m keshi`: the command line, where the script `keshi` is not on the path."""

from keshi.cli.app import main

if __name__ == "__main__":
    main()

"""`python -m sealedge`."""

from sealedge.cli import main

if __name__ == "__main__":
    main()

"""`python -m sealedge`: the same as the `sealedge` command."""

from sealedge.cli import main

main()

"""`python -m talo_export`: the same command line, for `accelerate launch` and `torchrun`."""

from talo_export.cli import main

main()

"""``python -m embedstack_ops`` is ``embedstack``: it works where the virtual environment's path breaks a shebang."""

from embedstack_ops.cli.main import main

main(prog_name="embedstack")

"""Make a virtual environment's programs run if its path is long or contains a space.

The first line of scripts such as the AWS CLI's contains the path of the interpreter. The kernel cuts it at a space or
after 255 bytes. Usage: fix_shebangs.py BIN_FOLDER
"""

import sys
from pathlib import Path

# A shell runs the second line; Python takes the second and the third for a string.
_TRAMPOLINE = b"""#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
' '''
"""


def main(folder: Path) -> None:
    """Give the programs in this folder a first line that works with every path."""
    interpreter = b"#!" + bytes(folder.absolute() / "python")
    if b" " not in interpreter and len(interpreter) < 127:
        return
    for program in folder.iterdir():
        content = program.read_bytes() if program.is_file() and not program.is_symlink() else b""
        first, _, rest = content.partition(b"\n")
        if first.startswith(interpreter):
            program.write_bytes(_TRAMPOLINE + rest)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

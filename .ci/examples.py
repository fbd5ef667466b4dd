"""Run the examples of the README, then those of the manuals in docs/, as a reader would: every bash and python block in
order, from the repository's root. Pages may be named instead.

A block under a line `<!-- skip: reason -->` is not run, one under `<!-- needs: PATH -->` only where PATH exists.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"(?:^<!-- (skip|needs): (.*?) -->\n)?^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main() -> int:
    root = Path(__file__).parents[1]
    binaries = str(root / ".venv" / "bin")
    env = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    pages = [Path(name) for name in sys.argv[1:]] or [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    for mark, what, language, code in (block for page in pages for block in BLOCK.findall(page.read_text("utf-8"))):
        title = code.strip().splitlines()[0]
        if mark == "skip" or (mark == "needs" and not (root / what).exists()):
            print(f"--- not run ({what}): {title}", flush=True)
            continue
        print(f"--- {title}", flush=True)
        command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
        if subprocess.run(command, cwd=root, env=env, check=False).returncode:
            print(f"failed:\n{code}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m chiasm` is `chiasm`."""

from chiasm.cli import app

app(prog_name="chiasm")

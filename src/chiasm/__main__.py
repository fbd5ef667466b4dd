"""`python -m chiasm` is `chiasm`."""

from chiasm.cli.app import app

app(prog_name="chiasm")

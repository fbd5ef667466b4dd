"""What lets the help of a group of commands start at once."""

QUICK_HELP = {"default_map": {"help": False}}
"""Context settings of a `typer.Typer`. A group's own --help that is not given has no value otherwise, and typer imports
pydantic to say so, which takes as long as the rest of the help of a command in the group."""

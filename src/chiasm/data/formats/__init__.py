"""One reader a community format. Each satisfies `chiasm.types.Dataset` and reads its users' own folder layout."""

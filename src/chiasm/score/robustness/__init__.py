"""What a score does when question or picture change, and whether a model finds hard what people find hard."""

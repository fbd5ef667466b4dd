"""One error family. A message says what was wrong, where (file, line or item id), and what to do."""


class ChiasmError(Exception):
    """Base of every error that Chiasm raises for bad input; the command line prints it without a traceback."""


class ImageError(ChiasmError):
    """A picture that can't be opened: missing, empty, truncated, not an image, or too large."""


class ParseError(ChiasmError):
    """Model text that does not follow its dialect (a box, an answer). Never turned into a guess."""


class DataError(ChiasmError):
    """A dataset file that is missing, malformed or contradicts itself."""


class ConfigError(ChiasmError):
    """A wrong setting: unknown key, unmatched parameter, impossible shape."""


class PromptError(ConfigError):
    """A prompt that a model can't be given: too long for it, or holding a mark that stands for a picture."""


class CheckpointError(ChiasmError):
    """A checkpoint folder that is missing a part or does not fit the model."""


class RunError(ChiasmError):
    """A run folder that is damaged or belongs to another model, dataset or prompt."""

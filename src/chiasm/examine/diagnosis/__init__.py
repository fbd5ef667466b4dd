"""Where a model lost what it answered wrongly: the ruler of readouts from encoder to answer, on the same items."""

"""What each stage of a model keeps of the picture, with a yardstick for every number."""

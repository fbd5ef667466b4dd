"""Generated and edited pictures: distances between sets, picture quality, faithfulness to text and instruction."""

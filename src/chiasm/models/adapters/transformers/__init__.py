"""Models of Hugging Face transformers behind the house protocols; the library is imported when a model is opened."""

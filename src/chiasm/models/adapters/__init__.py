"""Models of other libraries, brought into ours."""

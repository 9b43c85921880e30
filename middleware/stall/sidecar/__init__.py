"""A child process that watches from outside the GIL. What it imports itself is kept small."""

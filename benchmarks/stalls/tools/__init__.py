"""One module per tool, each as its own documentation says, with the same threshold.

Imported by the watched process alone: the others need not be there.
"""

THRESHOLD_SECONDS = 0.1

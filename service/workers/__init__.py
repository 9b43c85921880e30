"""`serve --workers N`: so many replicas on one machine, and the process that looks after them."""

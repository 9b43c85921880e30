"""Who notices a stalled event loop, who names the line, and who blames the innocent."""

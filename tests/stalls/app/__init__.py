"""An application with every mistake there is. A line to be blamed ends in `# guilty: NAME`."""

"""Technology behind the features' ports: one module per technology and role."""

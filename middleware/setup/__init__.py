"""What is set up once for the process, when the first Observability starts."""

"""The service; empty, so that `import service.contracts` costs a client only pydantic."""

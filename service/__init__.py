"""The Stallscope service; empty, so that a client's `import service.contracts` costs only pydantic."""

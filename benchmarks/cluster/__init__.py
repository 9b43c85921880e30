"""Replicas behind a balancer: what each answer costs, and what follows for a million a second."""

"""One module per way to observe an app, each as its own documentation says; imported one a run."""

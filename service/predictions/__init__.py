"""Feature: predictions of real models, without ever holding up the event loop."""

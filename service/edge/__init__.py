"""What every request passes before and after the routes: identity, limits, access."""

"""What runs the service elsewhere than on one machine: `README.md`."""

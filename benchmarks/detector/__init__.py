"""What the stall detector costs, and how soon it speaks."""

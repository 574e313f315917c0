"""What runs on a rented machine, where nothing of Errata's is installed yet."""

"""Our own trainer on machines that are rented for one job."""

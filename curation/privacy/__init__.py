"""Personal data: found, decided about, treated on the way out, removed."""

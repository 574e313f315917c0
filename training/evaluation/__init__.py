"""What a tuned model is worth: cases, measures, and the gate that says better, worse or cannot tell."""

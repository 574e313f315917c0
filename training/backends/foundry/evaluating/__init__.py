"""Evaluating a model that only its provider has, at an endpoint that is up for as long as it takes."""

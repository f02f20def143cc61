"""Deliveries of a made-up company, to try the project on."""

"""Checks of the test hub, with http.client for a client."""

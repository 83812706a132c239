"""A server with the download side of the Hugging Face Hub protocol, for tests."""

"""One module for each service; run them with python3 -m services."""

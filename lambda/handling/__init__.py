"""What the functions' handlers are made of; it lies beside ``function.py`` in their packages."""

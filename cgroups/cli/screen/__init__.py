"""The full screen of ``watch``.  Only the modules that draw import textual."""

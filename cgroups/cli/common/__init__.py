"""Code that several commands share: arguments, values, text tables, documents.  Each command has a module above."""

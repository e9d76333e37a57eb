"""What a child process of a recorded program loads before its own first line. See `unbug.hooks.children`.

This folder is put on the child's `PYTHONPATH`; no file in it but this one may import unbug.
"""

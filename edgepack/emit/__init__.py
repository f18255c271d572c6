"""Output formats, one file each: data in, text out. Templates in templates/ only wire."""

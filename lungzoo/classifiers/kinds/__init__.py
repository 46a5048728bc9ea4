"""One file per classifier; the registry imports them all."""

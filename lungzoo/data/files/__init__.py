"""File formats of images and volumes: bytes in, arrays and grids out. Nothing here knows a dataset's layout."""

"""The files that a report can become, one module each; `registry` lists them."""

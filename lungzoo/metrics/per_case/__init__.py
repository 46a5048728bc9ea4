"""The registered metrics of a case, one idea per file; see `lungzoo.metrics.contract`."""

"""CT slices with lesion masks: the prepared dataset, its readers, splits and the input pipeline."""

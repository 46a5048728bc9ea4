"""Handing on the weights of a run: a folder with manifest and model card, in a hub, MLflow or Hugging Face."""

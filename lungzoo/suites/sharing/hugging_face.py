"""Puts a folder of weights into a repository of Hugging Face."""

from __future__ import annotations

import os
from pathlib import Path

from lungzoo.errors import StorageError, UsageError, missing_extra
from lungzoo.weights.index import MANIFEST


def upload(folder: Path, repository: str, force: bool, private: bool) -> str:
    """Make a repository, unless it is there, and put the files of a folder into it in one commit.

    Args:
        folder: with manifest, weights file and card.
        repository: "ORG/NAME".
        force: replace weights that it has.
        private: a repository that is made now is seen by its owners only.

    Returns:
        Its address.

    Raises:
        UsageError: the package huggingface_hub is not installed, or the repository has weights.
        StorageError: the service does not take them.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise missing_extra("huggingface_hub", "hub", "Uploads to Hugging Face") from None
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="lungzoo")
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        if not force and api.file_exists(repository, MANIFEST):
            raise UsageError(f"{address} has weights. Publish to another repository, or replace them with --force.")
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Weights, manifest and model card")
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise StorageError(
            f"Hugging Face did not take the weights for {repository}: {reason}. Check the name, and that HF_TOKEN or "
            "`hf auth login` gives a token that may write there."
        ) from error
    return str(address)

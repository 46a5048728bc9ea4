"""Files that are gone, and stores of artifacts that do not answer."""

from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from lungzoo.errors import TrackingError
from lungzoo.tracking import mlflow_files
from lungzoo.tracking.mlflow_files import fetch

RUN = SimpleNamespace(
    info=SimpleNamespace(run_id="r", run_name="unet / scratch · seed 0", artifact_uri="mlflow-artifacts:/1/r/artifacts")
)
OUTAGE = MlflowException(
    "The following failures occurred while downloading one or more artifacts from http://store/1/r:\n"
    "##### File record.json #####\n"
    "API request to http://store failed: too many 503 error responses"
)


class Server:
    """A store that answers, though its artifacts may not."""

    def __init__(self, *names: str, down: bool = False) -> None:
        self.names, self.down, self.asked = names, down, []

    def list_artifacts(self, run_id, path):
        self.asked.append(path)
        if self.down:
            raise MlflowException("too many 503 error responses")
        return [SimpleNamespace(path=name) for name in self.names]


@pytest.fixture
def failing(monkeypatch):
    """Every download fails."""

    def download(**asked):
        raise OUTAGE

    monkeypatch.setattr(mlflow_files, "download_artifacts", download)


def test_what_is_there_is_fetched(monkeypatch):
    monkeypatch.setattr(mlflow_files, "download_artifacts", lambda **asked: f"/fetched/{asked['artifact_path']}")
    server = Server()
    assert str(fetch(server, "http://store", RUN, "record.json")) == "/fetched/record.json"
    assert server.asked == []


@pytest.mark.usefixtures("failing")
def test_what_the_list_does_not_name_is_gone():
    server = Server("weights", "per_case.csv")
    assert fetch(server, "http://store", RUN, "record.json") is None
    assert fetch(server, "http://store", RUN, "weights/manifest.json") is None
    assert server.asked == [None, "weights"]


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("server", "why"),
    [(Server("record.json"), "API request to http://store failed: too many"), (Server(down=True), "too many")],
)
def test_an_outage_says_nothing_of_the_file(server, why):
    with pytest.raises(TrackingError) as caught:
        fetch(server, "http://store", RUN, "record.json")
    assert str(caught.value) == (
        f"record.json of 'unet / scratch · seed 0' cannot be fetched from mlflow-artifacts:/1/r/artifacts: {why} "
        "503 error responses. Nothing is lost. Try again when the store of artifacts answers."
    )


def test_a_folder_of_this_machine_is_read_where_it_lies(tmp_path):
    run = SimpleNamespace(info=SimpleNamespace(artifact_uri=tmp_path.as_uri()))
    assert fetch(Server(down=True), "sqlite://", run, "record.json") is None
    (tmp_path / "record.json").touch()
    assert fetch(Server(down=True), "sqlite://", run, "record.json") == tmp_path / "record.json"

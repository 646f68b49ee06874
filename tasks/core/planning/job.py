"""Which job a run is about: its key, and the name that its files have of it. Reads no data."""

from tasks.core.checkpoint.layout import job_key
from tasks.core.config.parameters import RunConfig
from tasks.core.data.locate import locate
from tasks.core.data.sources import DatasetRef
from tasks.core.files.own_results import Origin
from tasks.core.keys import fingerprint


def origin_of(config: RunConfig, data: DatasetRef) -> Origin:
    """The job that a run is about. What a demo makes up is no answer of the model: it has a job of its own."""
    return Origin(
        job=_key(config, data.dataset),
        name=f"{data.dataset} {data.split}, {_model(config)}",
        dataset=data.dataset,
        attempt="",
        settings=config.generation.fingerprint,
        template=fingerprint(config.template_text) if config.template_text else "",
    )


def job_of(config: RunConfig) -> str:
    """The same job, before its data are read.

    Raises:
        InputError: there is no such data set.
    """
    path = locate(config.dataset)
    return _key(config, str(path) if path else config.dataset or "")


def _key(config: RunConfig, dataset: str) -> str:
    return job_key(dataset, config.dataset_config, config.split, _model(config))


def _model(config: RunConfig) -> str:
    return f"demo of {config.model}" if config.demo else config.model

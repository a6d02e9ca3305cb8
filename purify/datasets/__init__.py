"""Datasets on disk: a directory of Parquet shards with a manifest, read in streams and written atomically."""

from purify.datasets.dataset import Dataset
from purify.datasets.sink import ShardSink
from purify.datasets.stage import Progress, Stage, WriteMode, run_stage

__all__ = ["Dataset", "Progress", "ShardSink", "Stage", "WriteMode", "run_stage"]

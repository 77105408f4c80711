//! Pipelines and tasks of one process.

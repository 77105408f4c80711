//! Builds every part, starts and drains them in order; the only place that wires.

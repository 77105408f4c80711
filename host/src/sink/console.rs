//! A sink that prints.

//! A plugin as a stage of the chain.

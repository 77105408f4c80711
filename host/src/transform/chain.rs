//! A lane's chain of stages.
/// placeholder
#[derive(Debug)] pub struct Chain; #[derive(Debug)] pub struct Outcome; #[derive(Debug)] pub struct Projection;

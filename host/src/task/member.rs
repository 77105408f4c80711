//! One generation of a lane: a chain, and what feeds it.

use std::sync::Arc;

use super::lane::Failed;
use crate::convert::Converter;
use crate::convert::decoder::Decoder;
use crate::error::{Kind, Result};
use crate::failpoint::{self, Point};
use crate::record::{Batch, Origin, RowError, Stage, Want};
use crate::state::Generation;
use crate::transform::{Chain, Excluded};

/// How a pipeline's keys and values are read.
#[derive(Clone)]
pub struct Converters {
    /// Keys.
    pub key: Arc<dyn Converter>,
    /// Values.
    pub value: Arc<dyn Converter>,
}

impl std::fmt::Debug for Converters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Converters")
    }
}

/// A chain that processes records of a lane.
pub struct Member {
    /// Which chain.
    pub generation: Generation,
    /// The stages.
    pub chain: Chain,
    decoder: Decoder,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("generation", &self.generation)
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

/// Records that became no row, by offset.
pub type Failures = Vec<(i64, RowError)>;

impl Member {
    /// A chain that is fed with what it reads and what the table wants.
    pub fn new(generation: Generation, chain: Chain, converters: &Converters, wants: &[Want]) -> Result<Self> {
        let projection = chain.projection(wants);
        let decoder = Decoder::new(Arc::clone(&converters.key), Arc::clone(&converters.value), projection)?;
        Ok(Member { generation, chain, decoder })
    }

    /// Decodes a run and sends it through the chain.
    pub fn transform(&mut self, run: &Arc<Origin>, excluded: Excluded<'_>) -> Result<(Batch, Failures), Failed> {
        failpoint::pass(Point::BeforeDecode, Kind::Internal)?;
        let (batch, malformed) = self.decoder.decode(run)?;
        failpoint::pass(Point::AfterDecode, Kind::Internal)?;
        let outcome = self.chain.run(batch, excluded).map_err(Failed::Stage)?;
        let rejected = outcome.rejected.into_iter().map(|rejected| {
            let message = match (rejected.message, rejected.wanted, rejected.field.as_deref()) {
                (Some(message), _, _) => message,
                (None, Some(kind), Some(field)) => {
                    self.decoder.explain(run, rejected.record as usize, &field.into(), kind)
                }
                _ => "rejected without a reason".to_owned(),
            };
            RowError { record: rejected.record, stage: rejected.stage, field: rejected.field, message }
        });
        let errors = malformed.into_iter().chain(rejected).collect();
        Ok((outcome.batch, located(run, errors)))
    }

    /// What could not take a record: a transform, a converter, or the table.
    pub fn place(&self, stage: Stage) -> String {
        match (stage, self.chain.name_of(stage)) {
            (_, Some((alias, _))) => format!("transform {alias}"),
            (Stage::Sink, _) => "the table".to_owned(),
            (Stage::KeyConverter, _) => "the key converter".to_owned(),
            _ => "the value converter".to_owned(),
        }
    }
}

/// The errors with the offsets of their records.
pub fn located(run: &Origin, errors: Vec<RowError>) -> Failures {
    let offset = |error: &RowError| run.offsets.get(error.record as usize).copied().unwrap_or(-1);
    errors.into_iter().map(|error| (offset(&error), error)).collect()
}

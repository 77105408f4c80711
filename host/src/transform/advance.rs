//! Watermarks that move without a record, by a decision of the host: what they fire goes through the rest of the chain.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};

use super::chain::{place, step};
use super::{Chain, Rejected, StageFailure, stage};
use crate::error::Result;
use crate::record::batch::absent;
use crate::record::{Batch, Carry, Column, Decoded, Kind, Origin, Path, Rows, Stage, Want};

/// Rows that a stage has fired.
#[derive(Debug)]
pub struct Fired {
    /// Their number.
    pub rows: usize,
    /// One column per field that the stage writes, each as long.
    pub columns: Vec<Column>,
}

/// What an advance of a chain's watermarks came to.
#[derive(Debug, Default)]
pub struct Advanced {
    /// The rows that leave the chain, in their order.
    pub batches: Vec<Batch>,
    /// The stages that rejected some.
    pub rejected: Vec<Rejected>,
}

impl Chain {
    /// Where each stage with an event time would be moved to by a silence of so many microseconds; none where no event
    /// time was seen yet.
    pub fn idle_watermarks(&self, idle_us: u64) -> Vec<(Stage, i64)> {
        let stages = self.stages.iter().enumerate();
        stages.filter_map(|(position, of)| Some((stage(position), of.idle_watermark(idle_us)?))).collect()
    }

    /// Moves watermarks of stages; one that is there already stays and fires nothing. `origin` is the last record before
    /// it, whose coordinates the rows carry and nothing else; `sink` what the sink wants of them.
    pub fn advance(
        &mut self,
        origin: &Arc<Origin>,
        watermarks: &[(Stage, i64)],
        sink: &[Want],
    ) -> Result<Advanced, StageFailure> {
        let decoded = Arc::new(self.coordinates(origin, sink));
        let mut advanced = Advanced::default();
        for (position, transform) in self.stages.iter_mut().enumerate() {
            let at = stage(position);
            let before = std::mem::take(&mut advanced.batches);
            let pass = || -> Result<()> {
                for batch in before {
                    advanced.batches.push(step(&mut **transform, position, batch, Vec::new(), &mut advanced.rejected)?);
                }
                let watermark = watermarks.iter().find(|(of, _)| *of == at).map(|(_, watermark)| *watermark);
                let fired = watermark.map_or(Ok(None), |watermark| transform.advance(watermark))?;
                if let Some(Fired { rows, columns }) = fired.filter(|fired| fired.rows > 0) {
                    let written = transform.plan().writes.iter().map(|field| field.path.clone()).zip(columns);
                    advanced.batches.push(Batch {
                        origin: Arc::clone(origin),
                        decoded: Arc::clone(&decoded),
                        rows: Rows::Picked(vec![0; rows].into()),
                        overlay: written.collect(),
                        carry: Carry::None,
                    });
                }
                Ok(())
            };
            if let Err(error) = pass() {
                let error = error.during(place(transform.alias(), origin, &(0..0)));
                return Err(StageFailure { stage: at, records: 0..0, error });
            }
        }
        Ok(advanced)
    }

    /// What belongs to a record itself of all that stages and sink want: its coordinates are those of the origin, and the
    /// rest is absent.
    fn coordinates(&self, origin: &Origin, sink: &[Want]) -> Decoded {
        let plans = || self.stages.iter().map(|stage| stage.plan());
        let wants = plans().flat_map(|plan| &plan.wants).chain(sink).map(|want| (want.path.clone(), want.kind));
        let times = plans().flat_map(|plan| &plan.event_time).map(|time| (time.path.clone(), Kind::Timestamp));
        let mut fields: Vec<(Path, Kind)> = wants.chain(times).filter(|(path, _)| path.is_meta()).collect();
        fields.sort();
        fields.dedup();
        let column = |(path, kind): (Path, Kind)| {
            let column = coordinate(&path, kind, origin);
            (path, column)
        };
        Decoded { columns: fields.into_iter().map(column).collect(), ..Decoded::default() }
    }
}

fn coordinate(path: &Path, kind: Kind, origin: &Origin) -> Column {
    let array: ArrayRef = match (path.as_str(), kind) {
        ("$topic", Kind::Text) => Arc::new(StringArray::new_repeated(&*origin.lane.topic, origin.len())),
        ("$partition", Kind::Int64) => Arc::new(Int64Array::from(vec![i64::from(origin.lane.partition); origin.len()])),
        ("$offset", Kind::Int64) => Arc::new(Int64Array::new(origin.offsets.clone(), None)),
        _ => return absent(kind, origin.len()),
    };
    Column::of(kind, array)
}

#[cfg(test)]
#[path = "advance_tests.rs"]
mod tests;

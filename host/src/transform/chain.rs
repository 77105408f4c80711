//! A lane's chain of stages: what it must pull from records, and how a batch goes through it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_buffer::ScalarBuffer;

use super::{Rejection, Transform, Transformed, stage};
use crate::error::Result;
use crate::record::{Batch, Carry, Field, Kind, Path, Rows, Stage, Want};

/// The fields that converters pull from each record: everything that any stage or the sink reads and no earlier
/// stage has written. In order, without repetition.
pub type Projection = Vec<(Path, Kind)>;

/// The stages of one lane, in order.
#[derive(Default)]
pub struct Chain {
    stages: Vec<Box<dyn Transform>>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|s| s.alias())).finish()
    }
}

/// A record that a stage rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The record, counted in the batch's origin.
    pub record: u32,
    /// Which stage.
    pub stage: Stage,
    /// The field at fault, with the kind that was wanted where the record's own value is at fault.
    pub field: Option<String>,
    /// The kind wanted of that field; the converter can explain then.
    pub wanted: Option<Kind>,
    /// The stage's own sentence.
    pub message: Option<String>,
}

/// What a chain made of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// The rows for the sink.
    pub batch: Batch,
    /// The records that some stage rejected, by record.
    pub rejected: Vec<Rejected>,
}

/// Records kept from a stage and all after it, by record number of the batch's origin: decisions of old.
pub type Excluded<'a> = &'a [(u32, Stage)];

impl Chain {
    /// The chain of these stages.
    pub fn new(stages: Vec<Box<dyn Transform>>) -> Self {
        Chain { stages }
    }

    /// The fields that the chain writes and that are visible at its end.
    pub fn outputs(&self) -> Vec<Field> {
        let mut outputs: Vec<Field> = Vec::new();
        for stage in &self.stages {
            let plan = stage.plan();
            outputs.retain(|field| is_carried(&plan.carry, &field.path));
            for field in &plan.writes {
                outputs.retain(|f| f.path != field.path);
                outputs.push(field.clone());
            }
        }
        outputs
    }

    /// What must be pulled from records when the sink reads these fields at the end of the chain.
    pub fn projection(&self, sink: &[Want]) -> Projection {
        let mut wanted: BTreeSet<(Path, Kind)> = sink.iter().map(|w| (w.path.clone(), w.kind)).collect();
        for stage in self.stages.iter().rev() {
            let plan = stage.plan();
            wanted.retain(|(path, _)| {
                !plan.writes.iter().any(|f| f.path == *path) && (path.is_meta() || is_carried(&plan.carry, path))
            });
            wanted.extend(plan.wants.iter().map(|w| (w.path.clone(), w.kind)));
            if let Some(time) = &plan.event_time {
                wanted.insert((time.path.clone(), Kind::Timestamp));
            }
        }
        wanted.retain(|(path, _)| path.as_str() != "$watermark");
        wanted.into_iter().collect()
    }

    /// Whether a lane of this chain is replayed after a restart.
    pub fn is_stateful(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_stateful())
    }

    /// Memory that the stages hold, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.stages.iter().map(|stage| stage.memory_bytes()).sum()
    }

    /// Mutes logs and metrics of the stages while the lane replays.
    pub fn mute(&mut self, muted: bool) {
        for stage in &mut self.stages {
            stage.mute(muted);
        }
    }

    /// The alias and class of the stage at a position.
    pub fn name_of(&self, at: Stage) -> Option<(&str, &str)> {
        let Stage::Transform(position) = at else { return None };
        self.stages.get(usize::from(position)).map(|s| (s.alias(), s.class()))
    }

    /// Sends a batch through all stages. An error names the stage that is broken and the offsets it was given.
    pub fn run(&mut self, mut batch: Batch, excluded: Excluded<'_>) -> Result<Outcome> {
        let mut rejected = Vec::new();
        for (position, transform) in self.stages.iter_mut().enumerate() {
            let at = stage(position);
            batch = without(batch, excluded, at)?;
            if batch.is_empty() {
                break;
            }
            let given = batch.rows.clone();
            let origin = Arc::clone(&batch.origin);
            let Transformed { batch: next, rejections } = transform.transform(batch).map_err(|error| {
                let (first, last) = (origin.offsets.first(), origin.offsets.last());
                let range = format!("{} offsets {} to {}", origin.lane, first.unwrap_or(&-1), last.unwrap_or(&-1));
                error.during(format!("transform {} ({range})", transform.alias()))
            })?;
            rejected.extend(rejections.into_iter().map(|r| located(r, &given, at, &transform.plan().wants)));
            batch = next;
        }
        rejected.sort_by_key(|r| (r.record, r.stage));
        rejected.dedup_by_key(|r| r.record);
        Ok(Outcome { batch, rejected })
    }
}

fn is_carried(carry: &Carry, path: &Path) -> bool {
    match carry {
        Carry::All => true,
        Carry::None => false,
        Carry::These(paths) => paths.contains(path),
    }
}

fn located(rejection: Rejection, given: &Rows, at: Stage, wants: &[Want]) -> Rejected {
    let wanted = rejection.message.is_none().then(|| rejection.field.as_deref()).flatten();
    let kind = wanted.and_then(|field| wants.iter().find(|w| w.path.as_str() == field)).map(|w| w.kind);
    Rejected {
        record: given.origin(rejection.row as usize) as u32,
        stage: at,
        field: rejection.field,
        wanted: kind,
        message: rejection.message,
    }
}

/// The batch without the rows of records that a decision keeps from this stage.
fn without(batch: Batch, excluded: Excluded<'_>, at: Stage) -> Result<Batch> {
    if !excluded.iter().any(|(_, stage)| *stage == at) {
        return Ok(batch);
    }
    let kept = |row: &u32| !excluded.contains(&(batch.rows.origin(*row as usize) as u32, at));
    let positions: ScalarBuffer<u32> = (0..batch.len() as u32).filter(kept).collect();
    batch.select(&positions)
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    /// A stage that only has a plan.
    struct Planned(Plan);

    impl Transform for Planned {
        fn alias(&self) -> &'static str {
            "x"
        }
        fn class(&self) -> &'static str {
            "Planned"
        }
        fn plan(&self) -> &Plan {
            &self.0
        }
        fn is_stateful(&self) -> bool {
            false
        }
        fn transform(&mut self, batch: Batch) -> Result<Transformed> {
            Ok(Transformed { batch, rejections: Vec::new() })
        }
    }

    fn want(path: &str, kind: Kind) -> Want {
        Want { path: path.into(), kind, required: false }
    }

    fn stage_of(wants: &[(&str, Kind)], writes: &[(&str, Kind)], carry: Carry) -> Box<dyn Transform> {
        Box::new(Planned(Plan {
            wants: wants.iter().map(|(p, k)| want(p, *k)).collect(),
            writes: writes.iter().map(|(p, k)| Field { path: (*p).into(), kind: *k }).collect(),
            carry,
            ..Plan::default()
        }))
    }

    #[test]
    fn only_what_no_earlier_stage_writes_is_pulled_from_records() {
        let chain = Chain::new(vec![
            stage_of(&[("ts", Kind::Int64)], &[("ts", Kind::Timestamp)], Carry::All),
            stage_of(&[("price", Kind::Float64), ("$key", Kind::Text)], &[("sma", Kind::Float64)], Carry::All),
        ]);
        let sink = [want("ts", Kind::Timestamp), want("price", Kind::Float64), want("sma", Kind::Float64)];
        let pulled: Vec<String> = chain.projection(&sink).iter().map(|(p, k)| format!("{p}:{k}")).collect();
        assert_eq!(pulled, ["$key:text", "price:float64", "ts:int64"]);
        assert_eq!(chain.outputs().iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["ts", "sma"]);
    }

    #[test]
    fn what_is_not_carried_is_not_pulled_for_the_sink() {
        let chain = Chain::new(vec![stage_of(&[("a", Kind::Int64)], &[("b", Kind::Int64)], Carry::None)]);
        let pulled: Vec<String> =
            chain.projection(&[want("b", Kind::Int64), want("c", Kind::Int64)]).iter().map(|(p, _)| p.to_string()).collect();
        assert_eq!(pulled, ["a"]);
    }
}

//! What a replay does to each lane: from where to where, and with which state. Pure but for the look-up of offsets.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use arrow_array::types::TimestampMillisecondType;
use arrow_cast::parse::Parser as _;

use crate::error::{Error, Kind, Result};
use crate::kafka::log::Log;
use crate::record::Lane;
use crate::sink::timescale::archive::{Placement, Source, Standing};

/// A place in every lane of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This offset, or the end of the log that is nearer to it.
    Offset(i64),
    /// The first record at or after this time, in milliseconds since 1970.
    Time(i64),
    /// The oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = || TimestampMillisecondType::parse(text).map(Moment::Time);
        match text {
            "earliest" => Ok(Moment::Earliest),
            "latest" => Ok(Moment::Latest),
            _ => text.parse().ok().filter(|offset| *offset >= 0).map(Moment::Offset).or_else(time).ok_or_else(|| {
                "takes an offset, a time such as 2026-05-01T00:00:00Z, `earliest` or `latest`".to_owned()
            }),
        }
    }
}

impl Moment {
    /// The offset of the moment in each lane; `i64::MAX` = behind the newest record.
    pub fn offsets(self, log: &Log, lanes: &[Lane]) -> Result<Vec<i64>> {
        let all = |offset| vec![offset; lanes.len()];
        Ok(match self {
            Moment::Offset(offset) => all(offset),
            Moment::Earliest => all(0),
            Moment::Latest => all(i64::MAX),
            Moment::Time(at_ms) => {
                log.at_time(lanes, at_ms)?.into_iter().map(|offset| offset.unwrap_or(i64::MAX)).collect()
            }
        })
    }
}

/// What is known of a lane.
#[derive(Debug)]
pub struct Known<'a> {
    /// The lane.
    pub lane: &'a Lane,
    /// The offset of its oldest record, and the one behind its newest.
    pub ends: (i64, i64),
    /// Where the live pipeline stands.
    pub standing: Option<&'a Standing>,
    /// States of the live pipeline.
    pub states: Vec<&'a Source>,
    /// Whether the chain keeps state.
    pub stateful: bool,
}

/// What becomes of a lane.
#[derive(Debug, Clone)]
pub struct Step {
    /// The lane.
    pub lane: Lane,
    /// The first record that is processed again.
    pub from: i64,
    /// Behind the last.
    pub to: i64,
    /// The state that it begins with.
    pub begin: Begin,
}

/// The state of a lane at its first record.
#[derive(Debug, Clone)]
pub enum Begin {
    /// The chain keeps none, or no record comes before.
    Without,
    /// That of a checkpoint, replayed from there with output off.
    With {
        /// The checkpoint.
        source: Box<Source>,
        /// Where the log can be replayed from as well, should the chain not take the checkpoint.
        else_from: Option<i64>,
    },
    /// Rebuilt from this offset on with output off.
    Rebuilt(i64),
    /// Empty, though records came before.
    Cold,
}

impl Known<'_> {
    /// The step that this lane takes; None = there is nothing to do. Errors: [`Kind::Request`] where the state at `from`
    /// cannot be rebuilt and nobody asked for an empty one.
    pub fn step(&self, from: i64, to: i64, rewind: bool, cold: bool) -> Result<Option<Step>> {
        let (low, high) = self.ends;
        // A rewind ends where the pipeline stands.
        let to = if rewind { self.standing.map_or(low, |standing| standing.next_offset) } else { to };
        let (from, to) = (from.clamp(low, high), to.clamp(low, high));
        if rewind && from >= to {
            return Ok(None);
        }
        let begin = if self.stateful { self.begin(from, cold)? } else { Begin::Without };
        Ok(Some(Step { lane: self.lane.clone(), from, to: to.max(from), begin }))
    }

    fn begin(&self, from: i64, cold: bool) -> Result<Begin> {
        let low = self.ends.0;
        // A pipeline that has not run begins at the oldest record.
        let start = self.standing.map_or(low, |standing| standing.start_offset);
        if from <= start {
            return Ok(Begin::Without);
        }
        let whole = (start >= low).then_some(start);
        let newest = self.states.iter().filter(|source| source.manifest.at <= from && source.manifest.at >= low);
        if let Some(source) = newest.max_by_key(|source| source.manifest.at) {
            return Ok(Begin::With { source: Box::new((*source).clone()), else_from: whole });
        }
        match whole {
            Some(start) => Ok(Begin::Rebuilt(start)),
            None if cold => Ok(Begin::Cold),
            None => {
                let message = format!(
                    "the state of {} at offset {from} cannot be rebuilt: no checkpoint or savepoint lies at or before it, \
                     and the log begins at {low}, after {start} where the pipeline began; `--cold` begins with empty state",
                    self.lane
                );
                Err(Error::new(Kind::Request, message))
            }
        }
    }
}

/// What a replay does.
#[derive(Debug)]
pub struct Plan {
    /// The pipeline.
    pub pipeline: String,
    /// The table; None = the pipeline itself goes back.
    pub into: Option<String>,
    /// Its lanes.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Where lanes end.
    pub fn until(&self) -> BTreeMap<Lane, i64> {
        self.steps.iter().map(|step| (step.lane.clone(), step.to)).collect()
    }

    /// How the lanes of the pipeline that replays are to be placed before it begins.
    pub fn placements(&self) -> Vec<Placement> {
        let going_back = self.into.is_none().then_some(self.pipeline.as_str());
        self.steps.iter().map(|step| step.placement(going_back)).collect()
    }
}

impl Step {
    /// `going_back`: the pipeline, where it is rewound itself.
    fn placement(&self, going_back: Option<&str>) -> Placement {
        let (state, start_offset, needs_state) = match &self.begin {
            Begin::Without | Begin::Cold => (None, self.from, false),
            Begin::Rebuilt(start) => (None, *start, false),
            // A pipeline that goes back has its own checkpoints; those of savepoints are given to it.
            Begin::With { source, else_from } => {
                let kept = going_back == Some(source.pipeline.as_str());
                let state = (!kept).then(|| (**source).clone());
                (state, else_from.unwrap_or(self.from), else_from.is_none())
            }
        };
        let lane = self.lane.clone();
        Placement { lane, next_offset: Some(self.from), start_offset, counted: None, state, needs_state }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.into {
            Some(table) => write!(f, "pipeline {} again, into table {table}", self.pipeline)?,
            None => write!(f, "pipeline {} goes back and writes its rows anew", self.pipeline)?,
        }
        for Step { lane, from, to, begin } in &self.steps {
            write!(f, "\n  {lane}: offsets {from} to {to}, ")?;
            match begin {
                Begin::Without => write!(f, "no state before")?,
                Begin::With { source, .. } => write!(f, "state of offset {}", source.manifest.at)?,
                Begin::Rebuilt(start) => write!(f, "state rebuilt from offset {start}")?,
                Begin::Cold => write!(f, "empty state")?,
            }
        }
        if self.steps.is_empty() {
            write!(f, "\n  nothing to do")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

//! What a task tells of itself: status, log and metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use super::patience::Waiting;
use super::slot::Slot;
use super::status::{LaneStatus, Party};
use super::writer::{Fate, Report};
use super::{SpecParts, Task};
use crate::error::{Error, Kind};
use crate::record::{Decision, Lane, Stage};

impl Task {
    /// Books a flush in metrics and log.
    pub(super) fn note_written(&mut self, report: &Report, took: Duration) {
        let metrics = &self.spec.metrics;
        metrics.commit_busy.inc_by(took.as_secs_f64());
        let meanwhile = metrics.process_busy.get() - self.busy_at_write;
        metrics.overlap.inc_by(meanwhile.min(took.as_secs_f64()));
        metrics.commit_unknown.inc_by(u64::from(report.unknown));
        metrics.flush_attempts.inc_by(u64::from(report.attempts));
        for (lane, decision) in &report.refused {
            if let Some(slot) = self.slots.get(lane) {
                slot.metrics.errors.inc();
            }
            self.spec.log_skipped(lane, decision.offset, decision.stage, "", &decision.detail);
        }
        let mut rows = 0;
        for (segment, claim, fate) in &report.segments {
            match fate {
                Fate::Committed => {
                    rows += segment.lines.len();
                    let same_kind = |one: &Decision, next: &Decision| one.kind.name() == next.kind.name();
                    for alike in segment.decisions.chunk_by(same_kind) {
                        if let Some(first) = alike.first() {
                            metrics.decided(first.kind.name(), alike.len() as u64);
                        }
                    }
                    if let Some(slot) = self.slots.get_mut(&segment.lane) {
                        slot.metrics.position.set(segment.to);
                        slot.decided += segment.decisions.len() as u64;
                    }
                    self.suspects.committed(&segment.lane, segment.to);
                }
                Fate::Fenced { owner } => {
                    metrics.fenced.inc();
                    tracing::warn!(pipeline = self.spec.pipeline, lane = %segment.lane, epoch = claim.epoch, owner, "lane fenced");
                    let message = format!("worker {owner} holds the position of {}; it is claimed again", segment.lane);
                    self.spec.status.set_waiting(Party::Sink, Some(&Error::new(Kind::Fenced, message)));
                }
                Fate::LostTail => {
                    tracing::error!(pipeline = self.spec.pipeline, lane = %segment.lane, "the database lost committed positions");
                }
            }
        }
        if report.failure.is_none() {
            metrics.flushes.inc();
            metrics.flush_rows.observe(rows as f64);
            metrics.commit_seconds.observe(took.as_secs_f64());
            for latency_us in &report.latencies_us {
                metrics.latency_seconds.observe(*latency_us as f64 / 1e6);
            }
        }
    }

    /// Refreshes status, lag and the group's offsets.
    pub(super) fn report(&mut self) {
        let positions: Vec<(Lane, i64)> = self.machine.ledger.positions().map(|(l, at)| (l.clone(), at)).collect();
        let fences = |lane: &Lane| self.machine.fences(lane);
        let without = |(lane, doing): (&Lane, _)| {
            (lane.clone(), LaneStatus { doing, fences: fences(lane), ..LaneStatus::default() })
        };
        let mut lanes: BTreeMap<Lane, LaneStatus> = self.machine.unread().map(without).collect();
        for (lane, next_offset) in &positions {
            let end = self.consumer.cached_end(lane);
            let slot = self.slots.get(lane);
            let (replay_until, restoring) = (slot.and_then(Slot::replay_until), slot.is_some_and(Slot::is_restoring));
            if let (Some(slot), Some(end)) = (slot, end) {
                slot.metrics.lag.set((end - next_offset).max(0));
            }
            let checkpoint = slot.and_then(Slot::last_checkpoint_at);
            if let (Some(slot), Some(at)) = (slot, checkpoint) {
                slot.metrics.checkpoint.set(at);
            }
            let doing = match replay_until {
                _ if restoring => "restoring",
                Some(_) => "replaying",
                None if self.has_ended(lane) => "ended",
                None => "running",
            };
            let status = LaneStatus {
                doing,
                next_offset: Some(*next_offset),
                end,
                replay_until,
                processed: self.machine.ledger.processed(lane),
                epoch: slot.map(|slot| slot.claim.epoch),
                checkpoint,
                decisions: slot.map_or(0, |slot| slot.decided),
                fences: fences(lane),
            };
            lanes.insert(lane.clone(), status);
        }
        self.spec.status.set_lanes(lanes);
        if !positions.is_empty()
            && let Err(error) = self.consumer.commit(&positions)
        {
            tracing::debug!(%error, "commit offsets to the group");
        }
    }
}

impl SpecParts {
    /// Notes in status and log what the task waits for from one party; a cause is logged when it is new.
    pub(super) fn waiting_for(&self, party: Party) -> Waiting {
        let (pipeline, task, status) = (self.pipeline.clone(), self.number, self.status.clone());
        Box::new(move |error| {
            let news = status.set_waiting(party, error);
            match error {
                Some(error) if news => tracing::warn!(pipeline, task, hint = error.hint(), "waiting: {error}"),
                None if news => tracing::info!(pipeline, task, "going on"),
                _ => {}
            }
        })
    }

    /// Logs a record that became no row, as Connect does where it is asked to.
    pub(super) fn log_skipped(&self, lane: &Lane, offset: i64, stage: Stage, field: &str, message: &str) {
        if self.log_errors {
            let (pipeline, task, topic, partition) = (&self.pipeline, self.number, &*lane.topic, lane.partition);
            tracing::warn!(pipeline, task, topic, partition, offset, %stage, field, "record skipped: {message}");
        }
    }
}

//! Every metric in one table. Names, units and labels are fixed here; nobody else registers any.
//!
//! Base units, `_total` for counters, `_seconds` and `_bytes` for measures. Labels never take values that grow
//! without bound: no keys, no offsets. What plugins report beside it is in [`stages`].

mod meter;
mod stages;

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use self::meter::{Meter, MeterKind, Meters};
pub use self::stages::Stage;
use self::stages::Stages;
use crate::error::{Error, Kind, Result};

const LANE: &[&str] = &["pipeline", "topic", "partition"];
const PIPELINE: &[&str] = &["pipeline"];
const OUTCOME: &[&str] = &["pipeline", "outcome"];
const KIND: &[&str] = &["pipeline", "kind"];

/// The worker's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    records: IntCounterVec,
    rows: IntCounterVec,
    errors: IntCounterVec,
    lag: IntGaugeVec,
    position: IntGaugeVec,
    replay_remaining: IntGaugeVec,
    checkpoint: IntGaugeVec,
    decisions: IntCounterVec,
    flushes: IntCounterVec,
    flush_attempts: IntCounterVec,
    flush_rows: HistogramVec,
    commit_seconds: HistogramVec,
    latency_seconds: HistogramVec,
    commit_unknown: IntCounterVec,
    fenced: IntCounterVec,
    checkpoints: IntCounterVec,
    checkpoint_bytes: IntCounterVec,
    checkpoint_pause_seconds: HistogramVec,
    restores: IntCounterVec,
    rebuilds: IntCounterVec,
    swaps: IntCounterVec,
    swap_pause_seconds: HistogramVec,
    idle_advances: IntCounterVec,
    guest_seconds: HistogramVec,
    guest_memory: IntGaugeVec,
    busy_seconds: CounterVec,
    stages: Stages,
    memory: IntGauge,
    /// Pipeline files that cannot be used as they are.
    pub refused_files: IntGauge,
}

/// The metrics of one pipeline's tasks; counters are shared by them.
#[derive(Debug, Clone)]
pub struct PipelineMetrics {
    metrics: Arc<Metrics>,
    pipeline: String,
    /// Transactions that committed.
    pub flushes: IntCounter,
    /// Attempts to write a flush, the good ones included.
    pub flush_attempts: IntCounter,
    /// Rows per flush.
    pub flush_rows: Histogram,
    /// From the first statement to the acknowledged COMMIT, retries included.
    pub commit_seconds: Histogram,
    /// From a record's timestamp to its commit; a sample of the records.
    pub latency_seconds: Histogram,
    /// COMMITs whose outcome had to be read back.
    pub commit_unknown: IntCounter,
    /// Times another worker was found to hold a lane.
    pub fenced: IntCounter,
    /// Checkpoints that count.
    pub checkpoints: IntCounter,
    /// Checkpoints that could not be stored.
    pub checkpoints_failed: IntCounter,
    /// Checkpoints that could not be restored.
    pub checkpoints_unusable: IntCounter,
    /// What checkpoints wrote.
    pub checkpoint_bytes: IntCounter,
    /// Each time that a checkpoint takes from the processing of records.
    pub checkpoint_pause_seconds: Histogram,
    /// Lanes whose state came from a checkpoint.
    pub restores: IntCounter,
    /// Lanes that were rebuilt because a guest broke.
    pub rebuilds: IntCounter,
    /// Time between the last row of a chain and the first of the one that took over, by lane.
    pub swap_pause_seconds: Histogram,
    /// Silences by which watermarks were moved.
    pub idle_advances: IntCounter,
    /// One batch through the chain, guests included.
    pub guest_seconds: Histogram,
    /// Time at which records were processed, in seconds.
    pub process_busy: Counter,
    /// Time at which a flush was on its way to the database, in seconds.
    pub commit_busy: Counter,
    /// Time at which both was so, in seconds.
    pub overlap: Counter,
}

/// The metrics of one lane.
#[derive(Debug, Clone)]
pub struct LaneMetrics {
    /// Records read.
    pub records: IntCounter,
    /// Rows that left the chain.
    pub rows: IntCounter,
    /// Records that became no row because of an error.
    pub errors: IntCounter,
    /// Records between the sink's position and the end of the log.
    pub lag: IntGauge,
    /// The sink's next offset.
    pub position: IntGauge,
    /// Records still to be replayed with output off.
    pub replay_remaining: IntGauge,
    /// The offset of its newest checkpoint that counts.
    pub checkpoint: IntGauge,
    /// Linear memory of the lane's guests.
    pub guest_memory: IntGauge,
}

impl Metrics {
    /// Registers everything; once per worker.
    pub fn new() -> Result<Arc<Self>> {
        let r = Registry::new();
        let seconds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
        // Each a fifth more than the one before, 1 ms to 100 s: quantiles are read from it.
        let fine: Vec<f64> = (0..64).map(|step| 0.001 * 1.2f64.powi(step)).collect();
        let rows = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 50_000.0, 100_000.0];
        Ok(Arc::new(Metrics {
            records: counter(&r, "weir_records_total", "Records read.", LANE)?,
            rows: counter(&r, "weir_rows_total", "Rows that left the chain.", LANE)?,
            errors: counter(&r, "weir_record_errors_total", "Records without a row because of an error.", LANE)?,
            lag: gauge(&r, "weir_lag_records", "Records between the sink's position and the end of the log.", LANE)?,
            position: gauge(&r, "weir_next_offset", "The sink's next offset.", LANE)?,
            replay_remaining: gauge(&r, "weir_replay_remaining_records", "Records to replay with output off.", LANE)?,
            checkpoint: gauge(&r, "weir_checkpoint_offset", "The offset of the newest checkpoint that counts.", LANE)?,
            decisions: counter(&r, "weir_decisions_total", "Decisions committed, by kind.", KIND)?,
            flushes: counter(&r, "weir_flushes_total", "Transactions committed.", PIPELINE)?,
            flush_attempts: counter(&r, "weir_flush_attempts_total", "Transactions tried.", PIPELINE)?,
            flush_rows: histogram(&r, "weir_flush_rows", "Rows per transaction.", PIPELINE, &rows)?,
            commit_seconds: histogram(&r, "weir_commit_seconds", "One flush, retries included.", PIPELINE, &seconds)?,
            latency_seconds: histogram(
                &r,
                "weir_latency_seconds",
                "From a record's timestamp to its commit.",
                PIPELINE,
                &fine,
            )?,
            commit_unknown: counter(&r, "weir_commit_unknown_total", "COMMITs whose outcome was read back.", PIPELINE)?,
            fenced: counter(&r, "weir_fenced_total", "Times another worker held a lane.", PIPELINE)?,
            checkpoints: counter(&r, "weir_checkpoints_total", "Checkpoints, by what became of them.", OUTCOME)?,
            checkpoint_bytes: counter(&r, "weir_checkpoint_bytes_total", "Bytes written for checkpoints.", PIPELINE)?,
            checkpoint_pause_seconds: histogram(
                &r,
                "weir_checkpoint_pause_seconds",
                "Each time that a checkpoint takes from the processing of records.",
                PIPELINE,
                &seconds,
            )?,
            restores: counter(&r, "weir_restores_total", "Lanes whose state came from a checkpoint.", PIPELINE)?,
            idle_advances: counter(&r, "weir_idle_advances_total", "Silences that moved watermarks.", PIPELINE)?,
            rebuilds: counter(&r, "weir_rebuilds_total", "Lanes rebuilt because a guest broke.", PIPELINE)?,
            swaps: counter(&r, "weir_swaps_total", "Chains that were to take over, by what became of them.", OUTCOME)?,
            swap_pause_seconds: histogram(
                &r,
                "weir_swap_pause_seconds",
                "From the last row of a chain to the first of the one that took over, by lane.",
                PIPELINE,
                &fine,
            )?,
            guest_seconds: histogram(&r, "weir_chain_seconds", "One batch through the chain.", PIPELINE, &seconds)?,
            guest_memory: gauge(&r, "weir_guest_memory_bytes", "Linear memory of a lane's guests.", LANE)?,
            busy_seconds: seconds_counter(
                &r,
                "weir_stage_busy_seconds_total",
                "Time at work: process, commit, and both at once (overlap).",
                &["pipeline", "stage"],
            )?,
            stages: Stages::default(),
            memory: single(&r, "weir_memory_bytes", "Memory that the allocator holds.")?,
            refused_files: single(&r, "weir_pipeline_files_refused", "Pipeline files that cannot be used.")?,
            registry: r,
        }))
    }

    /// The metrics of a pipeline.
    pub fn pipeline(self: &Arc<Self>, pipeline: &str) -> PipelineMetrics {
        let labels = [pipeline];
        PipelineMetrics {
            metrics: Arc::clone(self),
            pipeline: pipeline.to_owned(),
            flushes: self.flushes.with_label_values(&labels),
            flush_attempts: self.flush_attempts.with_label_values(&labels),
            flush_rows: self.flush_rows.with_label_values(&labels),
            commit_seconds: self.commit_seconds.with_label_values(&labels),
            latency_seconds: self.latency_seconds.with_label_values(&labels),
            commit_unknown: self.commit_unknown.with_label_values(&labels),
            fenced: self.fenced.with_label_values(&labels),
            checkpoints: self.checkpoints.with_label_values(&[pipeline, "counted"]),
            checkpoints_failed: self.checkpoints.with_label_values(&[pipeline, "failed"]),
            checkpoints_unusable: self.checkpoints.with_label_values(&[pipeline, "unusable"]),
            checkpoint_bytes: self.checkpoint_bytes.with_label_values(&labels),
            checkpoint_pause_seconds: self.checkpoint_pause_seconds.with_label_values(&labels),
            restores: self.restores.with_label_values(&labels),
            rebuilds: self.rebuilds.with_label_values(&labels),
            swap_pause_seconds: self.swap_pause_seconds.with_label_values(&labels),
            idle_advances: self.idle_advances.with_label_values(&labels),
            guest_seconds: self.guest_seconds.with_label_values(&labels),
            process_busy: self.busy_seconds.with_label_values(&[pipeline, "process"]),
            commit_busy: self.busy_seconds.with_label_values(&[pipeline, "commit"]),
            overlap: self.busy_seconds.with_label_values(&[pipeline, "overlap"]),
        }
    }

    /// Counts what became of a chain that was to take over.
    pub fn swap_ended(&self, pipeline: &str, outcome: &str) {
        self.swaps.with_label_values(&[pipeline, outcome]).inc();
    }

    /// The figures of a plugin's guest, the same for every guest that is built for this stage of this lane.
    pub fn stage(&self, stage: Stage) -> Arc<Meters> {
        self.stages.meters(stage)
    }

    /// The sum of a pipeline's positions: all records committed when it began at offset 0.
    pub fn committed(&self, pipeline: &str) -> u64 {
        let of_pipeline = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().any(|label| label.name() == "pipeline" && label.value() == pipeline)
        };
        let families = self.position.collect();
        let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric).filter(of_pipeline);
        metrics.map(|metric| metric.get_gauge().get_value() as u64).sum()
    }

    /// Median and 99th percentile of the time from a record's timestamp to its commit, in milliseconds, by the
    /// buckets of the histogram; None before the first commit.
    pub fn latency_ms(&self, pipeline: &str) -> Option<(f64, f64)> {
        let families = self.latency_seconds.with_label_values(&[pipeline]).collect();
        let histogram = families.first()?.get_metric().first()?.get_histogram().clone();
        let count = histogram.get_sample_count();
        let quantile = |q: f64| {
            let bucket = histogram.get_bucket().iter().find(|b| b.cumulative_count() as f64 >= q * count as f64);
            bucket.map_or(f64::INFINITY, |b| b.upper_bound() * 1_000.0)
        };
        (count > 0).then(|| (quantile(0.5), quantile(0.99)))
    }

    /// The page that Prometheus scrapes (text format 0.0.4).
    pub fn page(&self) -> Result<String> {
        self.memory.set(i64::try_from(allocated_bytes()).unwrap_or(i64::MAX));
        let mut families = self.registry.gather();
        families.extend(self.stages.families()?);
        let mut page = Vec::new();
        TextEncoder::new()
            .encode(&families, &mut page)
            .map_err(|e| Error::caused(Kind::Internal, "write the metrics page", e))?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

impl PipelineMetrics {
    /// Counts decisions of a kind that were committed.
    pub fn decided(&self, kind: &str, count: u64) {
        self.metrics.decisions.with_label_values(&[&self.pipeline, kind]).inc_by(count);
    }

    /// The metrics of a lane.
    pub fn lane(&self, topic: &str, partition: i32) -> LaneMetrics {
        let m = &self.metrics;
        let partition = partition.to_string();
        let labels = [self.pipeline.as_str(), topic, partition.as_str()];
        LaneMetrics {
            records: m.records.with_label_values(&labels),
            rows: m.rows.with_label_values(&labels),
            errors: m.errors.with_label_values(&labels),
            lag: m.lag.with_label_values(&labels),
            position: m.position.with_label_values(&labels),
            replay_remaining: m.replay_remaining.with_label_values(&labels),
            checkpoint: m.checkpoint.with_label_values(&labels),
            guest_memory: m.guest_memory.with_label_values(&labels),
        }
    }

    /// Forgets the gauges of a lane that left this worker.
    pub fn forget(&self, topic: &str, partition: i32) {
        let partition = partition.to_string();
        let labels = [self.pipeline.as_str(), topic, partition.as_str()];
        let m = &self.metrics;
        for gauge in [&m.lag, &m.position, &m.replay_remaining, &m.checkpoint, &m.guest_memory] {
            // Absent where the lane never got so far.
            let _ = gauge.remove_label_values(&labels);
        }
        m.stages.forget_gauges(&self.pipeline, topic, &partition);
    }
}

/// Bytes that the allocator has handed out, for the whole process (C libraries included).
pub fn allocated_bytes() -> usize {
    let refreshed = tikv_jemalloc_ctl::epoch::advance();
    refreshed.and_then(|_| tikv_jemalloc_ctl::stats::allocated::read()).unwrap_or(0)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> Result<C> {
    let registered = made.and_then(|collector| registry.register(Box::new(collector.clone())).map(|()| collector));
    registered.map_err(|e| Error::caused(Kind::Internal, "register a metric", e))
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn seconds_counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec> {
    register(registry, CounterVec::new(Opts::new(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn single(registry: &Registry, name: &str, help: &str) -> Result<IntGauge> {
    register(registry, IntGauge::with_opts(Opts::new(name, help)))
}

fn histogram(registry: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
    register(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

//! What plugins report, on the metrics page: `weir_plugin_ID_NAME` with the labels pipeline, transform, plugin, topic
//! and partition, so that no two guests share a figure. Counters get `_total` where their name has it not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

use super::meter::{Meter, MeterKind, Meters};
use crate::error::{Error, Kind, Result};

/// One stage of one lane: whose figures they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stage {
    /// The pipeline.
    pub pipeline: String,
    /// The stage's alias in `transforms`.
    pub transform: String,
    /// The plugin's id.
    pub plugin: String,
    /// The lane's topic.
    pub topic: String,
    /// The lane's partition.
    pub partition: String,
}

/// The figures of all stages of this worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Stages(Arc<Mutex<BTreeMap<Stage, Arc<Meters>>>>);

impl Stages {
    /// The figures of a stage, empty when it is new.
    pub(super) fn meters(&self, stage: Stage) -> Arc<Meters> {
        Arc::clone(self.lock().entry(stage).or_default())
    }

    /// Forgets the gauges of a lane that left this worker.
    pub(super) fn forget_gauges(&self, pipeline: &str, topic: &str, partition: &str) {
        for (stage, meters) in self.lock().iter() {
            if (stage.pipeline.as_str(), stage.topic.as_str(), stage.partition.as_str()) == (pipeline, topic, partition)
            {
                meters.forget_gauges();
            }
        }
    }

    /// Everything reported, by name. Of two figures that would be the same sample, or of one name and two kinds, the
    /// first counts: a page with both could not be read.
    pub(super) fn families(&self) -> Result<Vec<MetricFamily>> {
        let mut families: BTreeMap<String, (MeterKind, MetricFamily)> = BTreeMap::new();
        for (stage, meters) in self.lock().iter() {
            let mut used = BTreeSet::new();
            for meter in meters.all() {
                let name = full_name(&stage.plugin, &meter);
                if !used.insert(name.clone()) || families.get(&name).is_some_and(|(kind, _)| *kind != meter.kind) {
                    continue;
                }
                let Some(mut family) = family(&name, stage, &meter)? else { continue };
                match families.get_mut(&name) {
                    Some((_, known)) => known.mut_metric().append(family.mut_metric()),
                    None => drop(families.insert(name, (meter.kind, family))),
                }
            }
        }
        Ok(families.into_values().map(|(_, family)| family).collect())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Stage, Arc<Meters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `weir_plugin_ID_NAME`, for counters with `_total`. Ids may hold what names may not.
fn full_name(plugin: &str, meter: &Meter) -> String {
    let id: String = plugin.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let suffix = if meter.kind == MeterKind::Counter && !meter.name.ends_with("_total") { "_total" } else { "" };
    format!("weir_plugin_{id}_{}{suffix}", meter.name)
}

/// One figure as a family of one sample.
fn family(name: &str, stage: &Stage, meter: &Meter) -> Result<Option<MetricFamily>> {
    let labels = [
        ("pipeline", &stage.pipeline),
        ("transform", &stage.transform),
        ("plugin", &stage.plugin),
        ("topic", &stage.topic),
        ("partition", &stage.partition),
    ];
    let labels: HashMap<String, String> = labels.map(|(label, value)| (label.to_owned(), value.clone())).into();
    let help = if meter.help.is_empty() { "Reported by the plugin." } else { &meter.help };
    let opts = Opts::new(name, help).const_labels(labels);
    let failed = |e| Error::caused(Kind::Internal, format!("show metric {name}"), e);
    let families = match meter.kind {
        MeterKind::Counter => {
            let counter = Counter::with_opts(opts).map_err(failed)?;
            counter.inc_by(meter.value());
            counter.collect()
        }
        MeterKind::Gauge => {
            let gauge = Gauge::with_opts(opts).map_err(failed)?;
            gauge.set(meter.value());
            gauge.collect()
        }
    };
    Ok(families.into_iter().next())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

    use super::super::Metrics;
    use super::*;

    fn stage(pipeline: &str, transform: &str, plugin: &str, partition: &str) -> Stage {
        let [pipeline, transform, plugin, partition] = [pipeline, transform, plugin, partition].map(str::to_owned);
        Stage { pipeline, transform, plugin, topic: "ticks".to_owned(), partition }
    }

    /// The lines about plugins on the page.
    fn page(metrics: &Metrics) -> Vec<String> {
        metrics.page().unwrap().lines().filter(|line| line.contains("weir_plugin_")).map(str::to_owned).collect()
    }

    #[test]
    fn no_two_stages_share_a_figure() {
        let metrics = Metrics::new().unwrap();
        let update = |stage: Stage, value: f64| {
            metrics.stage(stage).declare("rows", MeterKind::Counter, "Rows seen.").unwrap().update(value);
        };
        update(stage("a", "short", "my-sma", "0"), 1.0);
        update(stage("a", "long", "my-sma", "0"), 2.0);
        update(stage("a", "long", "my-sma", "1"), 4.0);
        update(stage("b", "long", "my-sma", "0"), 8.5);
        let sample = |pipeline: &str, transform: &str, partition: &str, value: &str| {
            format!(
                "weir_plugin_my_sma_rows_total{{partition=\"{partition}\",pipeline=\"{pipeline}\",\
                 plugin=\"my-sma\",topic=\"ticks\",transform=\"{transform}\"}} {value}"
            )
        };
        let expected = [
            "# HELP weir_plugin_my_sma_rows_total Rows seen.".to_owned(),
            "# TYPE weir_plugin_my_sma_rows_total counter".to_owned(),
            sample("a", "long", "0", "2"),
            sample("a", "long", "1", "4"),
            sample("a", "short", "0", "1"),
            sample("b", "long", "0", "8.5"),
        ];
        assert_eq!(page(&metrics), expected);
        update(stage("a", "short", "my-sma", "0"), 1.0);
        assert!(page(&metrics).contains(&sample("a", "short", "0", "2")), "a guest that is built anew counts on");
    }

    #[test]
    fn a_lane_that_leaves_takes_its_gauges_along_and_keeps_its_counters() {
        let metrics = Metrics::new().unwrap();
        for partition in ["0", "1"] {
            let meters = metrics.stage(stage("a", "s", "p", partition));
            meters.declare("keys", MeterKind::Gauge, "").unwrap().update(3.0);
            meters.declare("late", MeterKind::Counter, "").unwrap().update(3.0);
        }
        metrics.pipeline("a").forget("ticks", 0);
        let samples: Vec<String> = page(&metrics).into_iter().filter(|line| !line.starts_with('#')).collect();
        let of = |name: &str| samples.iter().filter(|line| line.starts_with(name)).count();
        assert_eq!((of("weir_plugin_p_keys{"), of("weir_plugin_p_late_total{")), (1, 2), "{samples:?}");
    }

    #[test]
    fn figures_that_would_make_a_page_unreadable_are_left_out() {
        let metrics = Metrics::new().unwrap();
        let meters = metrics.stage(stage("a", "s", "p", "0"));
        meters.declare("x", MeterKind::Counter, "").unwrap();
        meters.declare("x_total", MeterKind::Counter, "").unwrap();
        metrics.stage(stage("a", "t", "p", "0")).declare("x_total", MeterKind::Gauge, "").unwrap();
        let samples = page(&metrics).into_iter().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples, 1);
    }
}

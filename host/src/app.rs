//! Builds every part, starts and drains them in order. The only place that knows all the real ones: what a
//! pipeline file names becomes a converter, a chain and a sink here.

mod files;
pub mod plugins;
pub mod signals;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::plugins::Made;
use crate::clock::Clock;
use crate::config::files::CheckedFile;
use crate::config::pipeline::{Pipeline, Sink as SinkConfig};
use crate::config::worker::Worker as Settings;
use crate::convert;
use crate::error::{Error, Kind, Result};
use crate::guest::{Catalog, INTERFACE_VERSION, Plugin};
use crate::kafka::ConsumerSettings;
use crate::limits::{FLUSH_BYTES_MAX, FLUSH_ROWS_MAX, IDLE_BYTES};
use crate::metrics::{Metrics, Stage};
use crate::record::Lane;
use crate::rest::{self, Surface};
use crate::sink::console::ConsoleSink;
use crate::sink::timescale::TimescaleSink;
use crate::sink::{Gazette, Sink};
use crate::state::Generation;
use crate::task::Spec;
use crate::task::checkpoint::Interval;
use crate::task::line::{ChainFactory, Line};
use crate::task::machine;
use crate::task::member::Converters;
use crate::task::writer::Tolerance;
use crate::transform::Chain;
use crate::watch::Watch;
use crate::worker::rulings::Rulings;
use crate::worker::{self, Refused, Seat, SharedWorker, Worker};

/// The parts that tasks are built from.
#[derive(Debug)]
pub struct Parts {
    catalog: Arc<Catalog>,
    metrics: Arc<Metrics>,
    bootstrap_servers: String,
    worker: String,
    task_bytes: usize,
    /// Where checkpoints lie that do not lie in the database.
    checkpoints: Option<PathBuf>,
    clock: Clock,
}

/// A running worker with its REST listener.
#[derive(Debug)]
pub struct App {
    runtime: Runtime,
    worker: SharedWorker,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<Result<()>>>,
    address: SocketAddr,
    catalog: Arc<Catalog>,
    /// Of the directories of plugins and pipelines.
    watching: Vec<Watch>,
}

impl App {
    /// Starts the worker: plugins, REST, then the pipelines. `compiler` is the program that compiles plugins in a
    /// child process; None compiles here. `load` gives, once the plugins are known, the pipelines to run and the files
    /// that are refused: those are told in log and status, and the others run.
    pub fn start(
        settings: &Settings,
        compiler: Option<PathBuf>,
        load: impl FnOnce(&Catalog) -> Result<(Vec<Pipeline>, Vec<CheckedFile>)>,
    ) -> Result<App> {
        let runtime = runtime()?;
        let metrics = Metrics::new()?;
        let id = worker_id(settings);
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = watch::channel(false);
        let listener = runtime.block_on(rest::bind(address(&settings.rest)?))?;
        let bound = listener.local_addr().map_err(|e| Error::caused(Kind::Internal, "read the address of REST", e))?;
        let catalog = Arc::new(plugins::catalog(settings, compiler)?);
        let (pipelines, refused) = load(&catalog)?;
        let parts = Parts {
            catalog: Arc::clone(&catalog),
            metrics: Arc::clone(&metrics),
            bootstrap_servers: settings.bootstrap_servers.clone(),
            worker: id,
            task_bytes: task_bytes(settings.memory_bytes, &pipelines),
            checkpoints: settings.checkpoints(),
            clock: Clock::start(),
        };
        let name = bound.to_string();
        let worker = Worker::new(name, Box::new(parts), runtime.handle().clone(), Arc::clone(&metrics))?;
        let surface = Surface { worker: Arc::clone(&worker), metrics: Arc::clone(&metrics), ready: is_ready };
        let mut servers = vec![runtime.spawn(rest::serve(listener, rest::router(surface.clone()), stopped.clone()))];
        if let Some(metrics) = &settings.metrics {
            let listener = runtime.block_on(rest::bind(address(metrics)?))?;
            servers.push(runtime.spawn(rest::serve(listener, rest::metrics_router(surface), stopped)));
        }
        for pipeline in pipelines {
            worker.start(pipeline);
        }
        refuse(&worker, refused);
        // The channel only closes when the surface is gone.
        let _ = ready.send(true);
        tracing::info!(rest = %bound, "worker started");
        Ok(App { runtime, worker, metrics, stop, servers, address: bound, catalog, watching: Vec::new() })
    }

    /// The pipelines and their status.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where REST listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The async runtime, for callers that have work of their own for it.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// From now on files that come, change or go change what runs: pipelines, and the plugins of those that run.
    pub fn watch(&mut self, settings: &Settings) -> Result<()> {
        self.watching = files::watch(&settings.pipelines, Arc::clone(&self.catalog), &self.worker.notices())?;
        Ok(())
    }

    /// Finishes every flush, then ends REST.
    pub fn drain(mut self) -> Result<()> {
        tracing::info!("draining");
        self.watching.clear();
        self.worker.drain();
        // Without receivers there is nobody left to stop.
        let _ = self.stop.send(true);
        for server in self.servers.drain(..) {
            let ended = self.runtime.block_on(server);
            ended.map_err(|e| Error::caused(Kind::Internal, "end REST", e))??;
        }
        tracing::info!("worker stopped");
        Ok(())
    }
}

/// Shows the pipelines of refused files: a log line for each mistake, and FAILED with all of them in status.
fn refuse(worker: &Worker, refused: Vec<CheckedFile>) {
    let refused = refused.into_iter().map(|file| {
        let (name, error) = (file.name(), file.error());
        for problem in file.report() {
            tracing::error!(pipeline = name, file = %file.path.display(), "pipeline refused: {problem}");
        }
        Refused { name, error, raw: file.raw }
    });
    worker.refuse(refused.collect());
}

fn runtime() -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(2).enable_all().thread_name("weir-io").build();
    built.map_err(|e| Error::caused(Kind::Internal, "start the async runtime", e))
}

fn address(text: &str) -> Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| Error::new(Kind::Config, format!("`{text}` is no address to listen on (HOST:PORT)")))
}

/// What each task may use of the worker's budget. First comes what a worker takes that has nothing to do, and a part for
/// what the allocator cannot give back at once; the rest is shared by the tasks.
fn task_bytes(memory: u64, pipelines: &[Pipeline]) -> usize {
    let tasks: usize = pipelines.iter().map(|p| p.tasks_max).sum();
    let shared = memory.saturating_sub(IDLE_BYTES) / 10 * 7;
    usize::try_from(shared).unwrap_or(usize::MAX) / tasks.max(1)
}

/// The worker's stable name: given, else kept in the state directory, else made up for this run.
fn worker_id(settings: &Settings) -> String {
    if let Some(id) = &settings.id {
        return id.clone();
    }
    let fresh = || Uuid::new_v4().to_string();
    let Some(state) = &settings.state else { return fresh() };
    let file = state.join("worker-id");
    if let Ok(id) = fs::read_to_string(&file) {
        return id.trim().to_owned();
    }
    let id = fresh();
    let written = fs::create_dir_all(state).and_then(|()| fs::write(&file, &id));
    if let Err(error) = written {
        tracing::warn!(file = %file.display(), %error, "the worker's id is not kept: a killed worker is back only after its session");
    }
    id
}

/// The consumer of one task of a pipeline, in this worker.
pub fn consumer(
    pipeline: &Pipeline,
    bootstrap_servers: &str,
    worker: &str,
    number: usize,
    fetch_bytes_max: usize,
) -> ConsumerSettings {
    ConsumerSettings {
        bootstrap_servers: pipeline.bootstrap_servers.clone().unwrap_or_else(|| bootstrap_servers.to_owned()),
        group: pipeline.group.clone(),
        instance: format!("{worker}-{}-{number}", pipeline.name),
        client_id: format!("connector-consumer-{}-{number}", pipeline.name),
        topics: pipeline.topics.clone(),
        overrides: pipeline.consumer_overrides.clone(),
        tells_ends: !pipeline.until.is_empty() || pipeline.idle_timeout_ms > 0,
        fetch_bytes_max,
    }
}

impl worker::Builder for Parts {
    /// Finds each stage's plugin once; a lane's chain is then made of fresh guests.
    fn line(&self, pipeline: &Pipeline, rulings: &Rulings, speaks: Option<&Line>) -> Result<Line> {
        let interface = format!("{INTERFACE_VERSION:?}");
        let mut parts = vec![interface, pipeline.key_converter.clone(), pipeline.value_converter.clone()];
        let makers = pipeline.transforms.iter().map(|stage| {
            let running = speaks.and_then(|line| line.plugin(&stage.alias));
            let made = plugins::stage_maker(&self.catalog, stage, rulings, running)?;
            parts.extend([
                stage.alias.clone(),
                stage.class.clone(),
                made.code.clone(),
                stage.settings.len().to_string(),
            ]);
            parts.extend(stage.settings.iter().flat_map(|(key, value)| [key.clone(), value.clone()]));
            Ok((stage.alias.clone(), made))
        });
        let makers = makers.collect::<Result<Vec<_>>>()?;
        let generation = Generation::of(parts.iter().map(String::as_bytes));
        let plugin = |(alias, made): &(String, Made)| Some((alias.clone(), Arc::clone(made.plugin.as_ref()?)));
        let plugins: Vec<(String, Arc<Plugin>)> = makers.iter().filter_map(plugin).collect();
        let (metrics, name) = (Arc::clone(&self.metrics), pipeline.name.clone());
        let chain: ChainFactory = Arc::new(move |lane: Option<&Lane>| {
            let meters = |alias: &str, plugin: Option<&Arc<Plugin>>| match (lane, plugin) {
                (Some(lane), Some(plugin)) => metrics.stage(Stage {
                    pipeline: name.clone(),
                    transform: alias.to_owned(),
                    plugin: plugin.manifest().id.clone(),
                    topic: lane.topic.to_string(),
                    partition: lane.partition.to_string(),
                }),
                _ => Arc::default(),
            };
            let stages = makers.iter().map(|(alias, made)| (made.make)(meters(alias, made.plugin.as_ref())));
            Ok(Chain::new(stages.collect::<Result<_>>()?))
        });
        let converters =
            Converters { key: converter(&pipeline.key_converter)?, value: converter(&pipeline.value_converter)? };
        Ok(Line { generation, plugins, converters, chain })
    }

    fn keep(&self, chains: &[Line], only: bool) {
        let plugins = chains.iter().flat_map(|chain| chain.plugins.iter().map(|(_, plugin)| Arc::clone(plugin)));
        let plugins: Vec<Arc<Plugin>> = plugins.collect();
        let kept = self.catalog.keep(&plugins);
        let kept = if only { kept.and_then(|()| self.catalog.forget(&plugins)) } else { kept };
        if let Err(error) = kept {
            tracing::warn!(hint = error.hint(), "a plugin has to stay in its directory: {error}");
        }
    }

    fn gazette(&self, pipeline: &Pipeline) -> Result<Option<Box<dyn Gazette>>> {
        // A replay of history ends before it could be told anything.
        if pipeline.until.is_empty() { self.sink(pipeline)?.gazette() } else { Ok(None) }
    }

    fn task(&self, pipeline: &Pipeline, line: &Line, seat: Seat) -> Result<Spec> {
        let fetch_bytes_max = (self.task_bytes / 4).min(64 << 20);
        let Seat { number, status, tell } = seat;
        let consumer = consumer(pipeline, &self.bootstrap_servers, &self.worker, number, fetch_bytes_max);
        let sink = self.sink(pipeline)?;
        Ok(Spec {
            pipeline: pipeline.name.clone(),
            number,
            consumer,
            offset_reset: pipeline.auto_offset_reset,
            partitions_added: pipeline.partitions_added,
            keeper: sink.keeper(self.directory(pipeline)?)?,
            sink,
            until: pipeline.until.clone(),
            tolerance: if pipeline.errors.tolerate { Tolerance::All } else { Tolerance::None },
            log_errors: pipeline.errors.log,
            machine: machine::Settings {
                stateful: false,
                generation: line.generation,
                checkpoints: Some(Interval { records: pipeline.checkpoints.records, ms: pipeline.checkpoints.ms }),
                idle_ms: Some(pipeline.idle_timeout_ms).filter(|&ms| ms > 0),
                linger_ms: pipeline.linger_ms,
                flush_rows_max: FLUSH_ROWS_MAX,
                flush_bytes_max: (self.task_bytes / 4).min(FLUSH_BYTES_MAX),
            },
            line: line.clone(),
            status,
            metrics: self.metrics.pipeline(&pipeline.name),
            tell,
            clock: self.clock,
        })
    }
}

impl Parts {
    /// Where a pipeline's checkpoints lie; None = in its database.
    fn directory(&self, pipeline: &Pipeline) -> Result<Option<&Path>> {
        if !pipeline.checkpoints.in_directory {
            return Ok(None);
        }
        let message = "checkpoint.store: directory needs a worker with a state directory (`--state`)";
        self.checkpoints.as_deref().map(Some).ok_or_else(|| Error::new(Kind::Config, message))
    }

    fn sink(&self, pipeline: &Pipeline) -> Result<Box<dyn Sink>> {
        Ok(match &pipeline.sink {
            SinkConfig::Timescale(settings) => {
                Box::new(TimescaleSink::new(&pipeline.name, &self.worker, settings.clone())?)
            }
            SinkConfig::Console => Box::new(ConsoleSink::default()),
        })
    }
}

fn converter(class: &str) -> Result<Arc<dyn convert::Converter>> {
    convert::by_name(class).ok_or_else(|| Error::new(Kind::Config, format!("there is no converter `{class}`")))
}

//! The pipelines of one process and their tasks: started, watched, changed, drained.

mod control;
mod gazette;
pub mod rulings;
pub mod swap;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender as NewsSender;

pub use self::control::Notice;
use self::gazette::News;
use self::rulings::{Rulings, subjects};
use self::swap::{Life, Stage, Step, Swaps};
use crate::config::Pipeline;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::sink::Gazette;
use crate::state::{Generation, Ruling, Standing};
use crate::task::line::Line;
use crate::task::patience::answered;
use crate::task::status::{SharedStatus, State, TaskStatus};
use crate::task::swap::{Candidate, Tell, Told};
use crate::task::{self, Running, Spec};

/// Time for reading what is decided, before a pipeline starts.
const RULINGS_MAX: Duration = Duration::from_secs(5);

/// What a task is built for.
pub struct Seat {
    /// Its number.
    pub number: usize,
    /// Where it shows what it does.
    pub status: SharedStatus,
    /// Where it tells of chains that are to take over.
    pub tell: Tell,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What the pipelines' files say, all of them.
#[derive(Debug, Default)]
pub struct Files {
    /// The pipelines that can run.
    pub pipelines: Vec<Pipeline>,
    /// The files that cannot be used.
    pub refused: Vec<Refused>,
    /// Pipelines whose files are gone.
    pub gone: Vec<String>,
}

/// A pipeline file that cannot be used.
#[derive(Debug)]
pub struct Refused {
    /// The pipeline's name.
    pub name: String,
    /// What is wrong with the file, a line for each mistake.
    pub error: Error,
    /// Its keys as written, as far as it could be read.
    pub raw: BTreeMap<String, String>,
}

/// Builds the parts of pipelines.
pub trait Builder: Send + Sync {
    /// What a pipeline is to be read by as things stand: the newest plugins that its file and the rulings admit, those
    /// that `speaks` among them although their files may be gone.
    fn line(&self, pipeline: &Pipeline, rulings: &Rulings, speaks: Option<&Line>) -> Result<Line>;

    /// Keeps copies of the plugins of these chains, as their files may be taken away; with `only`, no others stay.
    fn keep(&self, chains: &[Line], only: bool);

    /// Where the pipeline's workers and operators tell each other about swaps; None = nowhere.
    fn gazette(&self, pipeline: &Pipeline) -> Result<Option<Box<dyn Gazette>>>;

    /// One task.
    fn task(&self, pipeline: &Pipeline, line: &Line, seat: Seat) -> Result<Spec>;
}

/// The pipelines of this process.
pub struct Worker {
    name: String,
    builder: Box<dyn Builder>,
    runtime: Handle,
    metrics: Arc<Metrics>,
    notices: Sender<Notice>,
    candidates: AtomicU64,
    pipelines: Mutex<BTreeMap<String, Entry>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Entry {
    /// Its configuration as written, references unresolved.
    raw: BTreeMap<String, String>,
    /// Why the pipeline itself (not one of its tasks) is at fault.
    failure: Option<Error>,
    /// What is wrong with its file, which is not what runs.
    edit: Option<Error>,
    tasks: Vec<(SharedStatus, Option<Running>)>,
    /// What runs; None where nothing can.
    running: Option<Runs>,
}

/// A pipeline that runs.
struct Runs {
    config: Pipeline,
    /// What speaks.
    line: Line,
    /// What spoke before it.
    former: Option<Line>,
    swaps: Swaps,
    rulings: Rulings,
    /// To the other workers and to operators.
    news: Option<NewsSender<News>>,
}

/// What is known of a pipeline.
#[derive(Debug, Clone)]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// Its own state; that of its tasks does not count (as in Connect).
    pub state: State,
    /// Why it failed.
    pub trace: Option<String>,
    /// Its tasks by number.
    pub tasks: Vec<TaskStatus>,
    /// The plugins that speak, where it runs.
    pub plugins: Option<(String, Generation)>,
    /// What became of chains that were to take over, the oldest first.
    pub swaps: Vec<Life>,
    /// What is wrong with its file now, while it runs as it was.
    pub edit: Option<String>,
}

impl Worker {
    /// A worker without pipelines. `name` is how it signs positions and shows in status (`host:port`).
    pub fn new(name: String, builder: Box<dyn Builder>, runtime: Handle, metrics: Arc<Metrics>) -> Result<Arc<Self>> {
        let (notices, received) = mpsc::channel();
        let (candidates, pipelines) = (AtomicU64::new(0), Mutex::default());
        let worker = Arc::new(Worker { name, builder, runtime, metrics, notices, candidates, pipelines });
        control::spawn(&worker, received)?;
        Ok(worker)
    }

    /// The worker's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where what happens is told.
    pub fn notices(&self) -> Sender<Notice> {
        self.notices.clone()
    }

    /// Starts a pipeline's tasks. A task that cannot be built is FAILED with the reason; the others run.
    pub fn start(&self, config: Pipeline) {
        let rulings = self.rulings(&config);
        self.start_under(config, rulings);
    }

    fn start_under(&self, config: Pipeline, rulings: Rulings) {
        let name = config.name.clone();
        let line = self.builder.line(&config, &rulings, None);
        let tasks = (0..config.tasks_max).map(|number| self.start_task(&config, &line, number)).collect();
        let raw = config.raw.clone();
        let running = line.ok().map(|line| {
            self.builder.keep(std::slice::from_ref(&line), false);
            let swaps = Swaps::new(config.swap, config.tasks_max);
            let gazette = self.builder.gazette(&config).ok().flatten().filter(|_| !line.plugins.is_empty());
            let news = gazette.map(|g| gazette::spawn(&self.runtime, name.clone(), g, self.notices.clone()));
            Runs { config, line, former: None, swaps, rulings, news }
        });
        self.lock().insert(name, Entry { raw, failure: None, edit: None, tasks, running });
    }

    /// What is decided about a pipeline's chains, asked for where there is something to choose: a version that was refused
    /// must not speak because the worker starts again.
    fn rulings(&self, config: &Pipeline) -> Rulings {
        let none = Rulings::default();
        let Ok(line) = self.builder.line(config, &none, None) else { return none };
        let mut without = none.clone();
        without.refuse(line.digests(), "");
        if line.plugins.is_empty() || self.builder.line(config, &without, None).is_err() {
            return none;
        }
        let Ok(Some(mut gazette)) = self.builder.gazette(config) else { return none };
        let asked = self.runtime.block_on(answered(RULINGS_MAX, gazette.rulings()));
        let Ok(rulings) = asked else {
            let pipeline = &config.name;
            tracing::warn!(pipeline, "which versions were refused cannot be read yet: the newest one speaks meanwhile");
            return none;
        };
        Rulings::of(rulings)
    }

    fn start_task(&self, config: &Pipeline, line: &Result<Line>, number: usize) -> (SharedStatus, Option<Running>) {
        let status = SharedStatus::default();
        let (notices, name) = (self.notices.clone(), config.name.clone());
        // Where nobody listens any more the worker is at its end.
        let tell: Tell = Arc::new(move |told: Told| drop(notices.send(Notice::Told(name.clone(), told))));
        let seat = Seat { number, status: status.clone(), tell };
        let spec = line.as_ref().map_err(Error::clone).and_then(|line| self.builder.task(config, line, seat));
        let running = spec.and_then(|spec| task::spawn(spec, &self.runtime)).inspect_err(|error| {
            tracing::error!(pipeline = config.name, task = number, hint = error.hint(), "task failed: {error}");
            status.fail(error);
        });
        (status, running.ok())
    }

    /// Shows pipelines whose files cannot be used; of several files of one name the first.
    pub fn refuse(&self, refused: Vec<Refused>) {
        let mut seen = BTreeSet::new();
        for refused in refused {
            if seen.insert(refused.name.clone()) {
                self.refuse_one(refused);
            }
        }
        let refused = self.lock().values().filter(|entry| entry.is_refused()).count();
        self.metrics.refused_files.set(i64::try_from(refused).unwrap_or(i64::MAX));
    }

    /// Shows one as failed, with the reason. One of that name that runs goes on, and shows what is wrong with its file.
    fn refuse_one(&self, refused: Refused) {
        let Refused { name, error, raw } = refused;
        let mut pipelines = self.lock();
        match pipelines.get_mut(&name) {
            Some(entry) if entry.running.is_some() => {
                if entry.edit.as_ref().map(Error::report) != Some(error.report()) {
                    tracing::error!(pipeline = name, "an edit is refused, what runs goes on: {error}");
                }
                entry.edit = Some(error);
            }
            _ => {
                let entry = Entry { raw, failure: Some(error), edit: None, tasks: Vec::new(), running: None };
                drop(pipelines.insert(name, entry));
            }
        }
    }

    /// Makes the pipelines what their files say. Only what is different is touched: another chain takes over while records
    /// flow, any other change starts the pipeline's tasks anew.
    pub fn apply(&self, files: Files) {
        for name in files.gone {
            self.remove(&name);
        }
        for config in files.pipelines {
            let known = self.lock().get_mut(&config.name).map(|entry| {
                entry.edit = None;
                (entry.raw.clone(), entry.running.is_some())
            });
            match known {
                Some((raw, true)) if raw == config.raw => {}
                Some((raw, true)) if is_chain_alone(&raw, &config.raw) => self.rechain(config),
                Some(_) => self.start_again(config),
                None => {
                    tracing::info!(pipeline = config.name, "a pipeline is added");
                    self.start(config);
                }
            }
        }
        self.refuse(files.refused);
    }

    /// Ends a pipeline; its position and its state stay.
    fn remove(&self, name: &str) {
        let Some(mut entry) = self.lock().remove(name) else { return };
        tracing::info!(pipeline = name, "a pipeline is removed with its file; its position and state stay");
        end(entry.take_tasks());
    }

    /// Starts a pipeline's tasks anew under another configuration.
    fn start_again(&self, config: Pipeline) {
        tracing::info!(pipeline = config.name, "a pipeline is started again as its file has changed");
        let tasks = self.lock().get_mut(&config.name).map(|entry| {
            entry.running = None;
            entry.take_tasks()
        });
        end(tasks.unwrap_or_default());
        self.start(config);
    }

    /// Lets a pipeline go on with another chain. One that keeps state takes over only from one that does.
    fn rechain(&self, config: Pipeline) {
        let name = config.name.clone();
        let known = |entry: &Entry| entry.running.as_ref().map(|runs| (runs.line.clone(), runs.rulings.clone()));
        let Some((speaks, rulings)) = self.lock().get(&name).and_then(known) else { return };
        let stateful = |line: Result<Line>| line.and_then(|line| line.nature()).map(|nature| nature.stateful).ok();
        if stateful(Ok(speaks)) != stateful(self.builder.line(&config, &rulings, None)) {
            return self.start_again(config);
        }
        tracing::info!(pipeline = name, "the chain in a pipeline's file has changed");
        if let Some(entry) = self.lock().get_mut(&name) {
            entry.raw.clone_from(&config.raw);
            if let Some(runs) = &mut entry.running {
                runs.swaps.follow(config.swap);
                runs.config = config;
            }
        }
        self.review_one(&name);
    }

    /// The names of all pipelines.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// A pipeline's configuration as written, references unresolved.
    pub fn config(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.lock().get(name).map(|entry| entry.raw.clone())
    }

    /// A pipeline's status.
    pub fn status(&self, name: &str) -> Option<PipelineStatus> {
        self.lock().get(name).map(|entry| PipelineStatus {
            name: name.to_owned(),
            state: if entry.failure.is_some() { State::Failed } else { State::Running },
            trace: entry.failure.as_ref().map(Error::report),
            tasks: entry.tasks.iter().map(|(status, _)| status.get()).collect(),
            plugins: entry.running.as_ref().map(|runs| (runs.line.name(), runs.line.generation)),
            swaps: entry.running.iter().flat_map(|runs| runs.swaps.lives().cloned()).collect(),
            edit: entry.edit.as_ref().map(Error::report),
        })
    }

    /// Looks at every pipeline again: whether it is to be read by another chain.
    fn review(&self) {
        for name in self.names() {
            self.review_one(&name);
        }
    }

    fn review_one(&self, name: &str) {
        let known = |entry: &Entry| {
            let runs = entry.running.as_ref()?;
            Some((runs.config.clone(), runs.rulings.clone(), runs.line.clone(), runs.goal()))
        };
        let Some((config, rulings, speaks, goal)) = self.lock().get(name).and_then(known) else { return };
        // Without the lock: plugins are asked for their plans here.
        let line = match self.builder.line(&config, &rulings, Some(&speaks)) {
            Ok(line) if line.generation == goal => return,
            Ok(line) => line,
            Err(error) => return tracing::warn!(pipeline = name, "what runs goes on: {error}"),
        };
        let nature = line.nature();
        let mut pipelines = self.lock();
        let Some(entry) = pipelines.get_mut(name) else { return };
        let Some(runs) = &mut entry.running else { return };
        if line.generation == runs.goal() || rulings.refusal(&line, &runs.line).is_some() {
            return;
        }
        let steps = match nature {
            _ if line.generation == runs.line.generation => runs.swaps.withdraw(),
            Err(error) => {
                let rulings = runs.rulings.refuse(subjects(&line, &runs.line), &error.to_string());
                runs.tell(News::Ruled(rulings));
                runs.swaps.refuse(&line, &error)
            }
            Ok(_) if entry.tasks.iter().any(|(status, _)| status.get().state == State::Failed) => {
                drop(pipelines);
                return self.restart(name, &line);
            }
            Ok(nature) => {
                let approved = rulings.approves(&line, &runs.line);
                let number = self.candidates.fetch_add(1, Ordering::Relaxed) + 1;
                runs.swaps.offer(Arc::new(Candidate { number, line, nature }), approved)
            }
        };
        self.perform(name, entry, steps);
    }

    /// Ends what is left of a pipeline that failed, and starts it with another chain.
    fn restart(&self, name: &str, line: &Line) {
        let taken = self.lock().get_mut(name).and_then(|entry| {
            let runs = entry.running.take()?;
            Some((runs, entry.take_tasks()))
        });
        let Some((runs, tasks)) = taken else { return };
        tracing::info!(pipeline = name, plugins = line.name(), "a failed pipeline is started again with another chain");
        end(tasks);
        self.start_under(runs.config, runs.rulings);
    }

    /// Takes what has been decided elsewhere.
    fn ruled(&self, name: &str, rulings: Vec<Ruling>) {
        self.with(name, |runs| {
            runs.rulings.renew(rulings);
            let Some(candidate) = runs.swaps.candidate() else { return Vec::new() };
            let before = runs.before(candidate.line.generation);
            if let Some(why) = runs.rulings.refusal(&candidate.line, before) {
                let why = why.to_owned();
                return runs.swaps.roll_back(&why).unwrap_or_default();
            }
            let approved = runs.rulings.approves(&candidate.line, before);
            if approved { runs.swaps.approve().unwrap_or_default() } else { Vec::new() }
        });
        self.review_one(name);
    }

    /// Takes what a task tells.
    fn told(&self, name: &str, told: Told, now_ms: u64) {
        self.with(name, |runs| runs.swaps.heard(told.task, told.number, told.news, now_ms));
    }

    /// Time has passed.
    fn tick(&self, now_ms: u64) {
        let mut has_settled = false;
        for (name, entry) in self.lock().iter_mut() {
            let Some(runs) = entry.running.as_mut().filter(|runs| !runs.swaps.is_quiet()) else { continue };
            let mut steps = runs.swaps.tick(now_ms);
            for (number, (status, _)) in entry.tasks.iter().enumerate() {
                if matches!(status.get().state, State::Failed | State::Stopped) {
                    steps.extend(runs.swaps.gone(number, now_ms));
                }
            }
            has_settled |= self.perform(name, entry, steps);
        }
        if has_settled {
            self.forget();
        }
    }

    /// Changes the swaps of a pipeline and does what follows.
    fn with(&self, name: &str, change: impl FnOnce(&mut Runs) -> Vec<Step>) {
        let mut pipelines = self.lock();
        let Some(entry) = pipelines.get_mut(name) else { return };
        let steps = entry.running.as_mut().map(change).unwrap_or_default();
        let has_settled = self.perform(name, entry, steps);
        drop(pipelines);
        if has_settled {
            self.forget();
        }
    }

    /// Returns whether what spoke beside another is settled: one of them speaks alone.
    fn perform(&self, name: &str, entry: &mut Entry, steps: Vec<Step>) -> bool {
        let Some(runs) = &mut entry.running else { return false };
        let settles = |step: &Step| matches!(step, Step::Came(life, _) if matches!(life.stage, Stage::Active | Stage::RolledBack));
        let has_settled = steps.iter().any(settles);
        for step in steps {
            match step {
                Step::Tell(order) => {
                    entry.tasks.iter().filter_map(|(_, task)| task.as_ref()).for_each(|task| task.swap(order.clone()));
                }
                Step::Came(life, chain) => {
                    self.came(name, &life);
                    runs.stands(&life, &chain);
                }
                Step::Speaks(candidate) => {
                    self.builder.keep(std::slice::from_ref(&candidate.line), false);
                    runs.former = Some(std::mem::replace(&mut runs.line, candidate.line.clone()));
                }
                Step::TakenBack(candidate) => {
                    if let Some(former) = runs.former.take_if(|_| runs.line.generation == candidate.line.generation) {
                        runs.line = former;
                    }
                }
                Step::Refuse(candidate, why) => {
                    let rulings = runs.rulings.refuse(subjects(&candidate.line, &runs.line), &why);
                    runs.tell(News::Ruled(rulings));
                }
            }
        }
        has_settled
    }

    /// Lets go the copies of plugins that no pipeline goes back to.
    fn forget(&self) {
        let pipelines = self.lock();
        let known: Option<Vec<&Runs>> = pipelines.values().map(|entry| entry.running.as_ref()).collect();
        // What a pipeline needs that cannot run is not known.
        let Some(known) = known else { return };
        let chains: Vec<Line> =
            known.into_iter().flat_map(|runs| [&runs.line].into_iter().chain(&runs.former)).cloned().collect();
        drop(pipelines);
        self.builder.keep(&chains, true);
    }

    /// Tells where a candidate stands.
    fn came(&self, pipeline: &str, life: &Life) {
        let Life { generation, name, stage, detail } = life;
        let stage_name = stage.name();
        match stage {
            Stage::Refused | Stage::RolledBack => {
                self.metrics.swap_ended(pipeline, stage_name);
                tracing::warn!(pipeline, plugins = name, %generation, "swap {stage_name}: {detail}");
            }
            Stage::Probation => {
                self.metrics.swap_ended(pipeline, "done");
                tracing::info!(pipeline, plugins = name, %generation, "swap done: {detail}");
            }
            Stage::Canary | Stage::Waiting | Stage::CuttingOver | Stage::Active | Stage::Parked => {
                tracing::info!(pipeline, plugins = name, %generation, detail, "swap {stage_name}");
            }
        }
    }

    /// Finishes every task's flush and ends them all. Waits; to be called off the async runtime's threads.
    pub fn drain(&self) {
        let running = self.lock().values_mut().flat_map(Entry::take_tasks).collect();
        end(running);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    /// What speaks when all that is under way has come to its end.
    fn goal(&self) -> Generation {
        let former = self.former.as_ref().filter(|_| self.swaps.is_going_back());
        self.swaps.underway().unwrap_or(former.unwrap_or(&self.line).generation)
    }

    /// What speaks without a chain of this generation: what spoke before it, where it speaks already.
    fn before(&self, generation: Generation) -> &Line {
        self.former.as_ref().filter(|_| self.line.generation == generation).unwrap_or(&self.line)
    }

    fn tell(&self, news: News) {
        if let Some(to) = &self.news {
            // Only a database that is away for hundreds of swaps misses some; what they came to holds here all the same.
            let _ = to.try_send(news);
        }
    }

    /// Tells the others where a chain stands.
    fn stands(&self, life: &Life, chain: &Line) {
        let before = self.before(life.generation);
        let standing = Standing {
            generation: life.generation,
            plugins: life.name.clone(),
            stage: life.stage.name().to_owned(),
            detail: life.detail.clone(),
            subjects: subjects(chain, before),
        };
        self.tell(News::Stands(Box::new(standing)));
    }
}

impl Entry {
    fn take_tasks(&mut self) -> Vec<Running> {
        self.tasks.iter_mut().filter_map(|(_, task)| task.take()).collect()
    }

    fn is_refused(&self) -> bool {
        self.edit.is_some() || self.failure.is_some()
    }
}

/// Whether two configurations differ in nothing but the chain and the way it is swapped.
fn is_chain_alone(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> bool {
    const OF_CHAIN: [&str; 6] =
        ["transforms", "predicates", "key.converter", "value.converter", "plugin.swap.", "swap.probation.ms"];
    let is_other = |(key, _): &(&String, &String)| !OF_CHAIN.iter().any(|of_chain| key.starts_with(of_chain));
    old.iter().filter(is_other).eq(new.iter().filter(is_other))
}

/// Ends tasks, all at once.
fn end(mut running: Vec<Running>) {
    running.iter().for_each(Running::drain);
    running.iter_mut().for_each(Running::join);
}

/// A worker that REST and the signal handler share.
pub type SharedWorker = Arc<Worker>;

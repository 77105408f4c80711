//! Entries to a checked pipeline, or everything that is wrong with them at once. Raw configuration becomes
//! checked configuration here and nowhere else; but for reading what references name, this does no I/O.

use std::collections::BTreeMap;

use super::keys::{self, Check, Default, Key, SinkClass, Type};
use super::pipeline::{self, Checkpoints, Errors, PartitionsAdded, Pipeline, SwapPolicy, Transform};
use super::problem::{Entry, Problem, any_of, shown};
use super::reference::{self, Sources};
use super::{consumer, raw, timescale, transforms};

/// What became of a pipeline's entries.
#[derive(Debug)]
pub struct Checked {
    /// The pipeline; None where there is any problem.
    pub pipeline: Option<Pipeline>,
    /// Its chain, as far as it could be read, so that its settings can be checked beside other problems.
    pub transforms: Vec<Transform>,
    /// What is wrong, by line.
    pub problems: Vec<Problem>,
}

/// Checks the entries of one pipeline, of which no key occurs twice.
pub fn check(entries: &[Entry], sources: &dyn Sources) -> Checked {
    let mut values = Values::gather(entries, sources);
    let class = sink_class(&mut values);
    refuse_unknown(&mut values, class);
    let transforms = transforms::read(&mut values);
    let name = values.text(&keys::NAME);
    let topics = topics(&mut values);
    let consumer = consumer::read(&mut values);
    let (key_converter, value_converter) = converters(&mut values);
    let errors = errors(&mut values);
    let tasks_max = values.whole(&keys::TASKS_MAX) as usize;
    let bootstrap_servers = values.optional(&keys::BOOTSTRAP_SERVERS);
    let partitions_added = values.optional(&keys::PARTITIONS_ADDED).map(|word| match word.as_str() {
        "continue" => PartitionsAdded::Continue,
        _ => PartitionsAdded::Fail,
    });
    let linger_ms = values.whole(&keys::LINGER_MS) as u64;
    let idle_timeout_ms = values.whole(&keys::IDLE_TIMEOUT_MS) as u64;
    let checkpoints = Checkpoints {
        records: values.whole(&keys::CHECKPOINT_INTERVAL_RECORDS) as u64,
        ms: values.whole(&keys::CHECKPOINT_INTERVAL_MS) as u64,
        in_directory: values.text(&keys::CHECKPOINT_STORE) == "directory",
    };
    let swap = pipeline::Swap {
        policy: match values.text(&keys::PLUGIN_SWAP_POLICY).as_str() {
            "canary-equal" => SwapPolicy::CanaryEqual,
            "manual" => SwapPolicy::Manual,
            _ => SwapPolicy::Auto,
        },
        probation_ms: values.whole(&keys::SWAP_PROBATION_MS) as u64,
    };
    let sink = match class {
        Some(SinkClass::Timescale) => Some(pipeline::Sink::Timescale(timescale::read(&mut values))),
        Some(SinkClass::Console) => Some(pipeline::Sink::Console),
        None => None,
    };
    let mut problems = values.problems;
    problems.sort_by_key(|problem| problem.line);
    let pipeline = sink.filter(|_| problems.is_empty()).map(|sink| Pipeline {
        group: consumer.group.unwrap_or_else(|| format!("connect-{name}")),
        until: BTreeMap::new(),
        name,
        topics,
        tasks_max,
        bootstrap_servers,
        consumer_overrides: consumer.overrides,
        auto_offset_reset: consumer.reset,
        partitions_added,
        key_converter,
        value_converter,
        transforms: transforms.clone(),
        errors,
        linger_ms,
        idle_timeout_ms,
        checkpoints,
        swap,
        sink,
        raw: raw::of(entries),
    });
    Checked { pipeline, transforms, problems }
}

/// The sink that `connector.class` names.
fn sink_class(values: &mut Values<'_, '_>) -> Option<SinkClass> {
    let class = values.text(&keys::CONNECTOR_CLASS);
    let sink = SinkClass::parse(&class);
    if sink.is_none() && !class.is_empty() {
        let names = SinkClass::ALL.map(SinkClass::name);
        let simple = class.rsplit('.').next().unwrap_or_default();
        let (message, hint) = match simple.trim_end_matches("Connector") {
            "JdbcSink" => ("names a JDBC sink, whose keys are not read yet", "write `TimescaleSink` with its own keys"),
            "KafkaSink" => ("names the Kafka sink, which is not there yet", "write `TimescaleSink` or `ConsoleSink`"),
            _ => {
                let written = shown(&values.written(keys::CONNECTOR_CLASS.name));
                let message = format!("takes {}, not {written}", any_of(names));
                let hint = keys::nearest(simple, names).map(|meant| format!("did you mean `{meant}`?"));
                values.problem(keys::CONNECTOR_CLASS.name, message, hint.unwrap_or_default());
                return None;
            }
        };
        values.problem(keys::CONNECTOR_CLASS.name, message, hint);
    }
    sink
}

/// Keys that no option has, that another sink has, or that weir does not have yet.
fn refuse_unknown(values: &mut Values<'_, '_>, class: Option<SinkClass>) {
    for name in values.names() {
        let other_sink = |key: &Key| key.sink.filter(|&sink| class.is_some_and(|class| class != sink));
        match keys::find(&name) {
            None => {
                let hint = suggestion(&name, class).map(|meant| format!("did you mean `{meant}`?"));
                values.problem(&name, "is no option", hint.unwrap_or_else(|| "remove it".to_owned()));
            }
            Some(Key { check: Check::Refused(why, way_out), .. }) => values.problem(&name, *why, *way_out),
            Some(key) => {
                if let (Some(owner), Some(class)) = (other_sink(key), class) {
                    let (owner, class) = (owner.name(), class.name());
                    let message = format!("is an option of `{owner}`, and this pipeline writes to `{class}`");
                    values.problem(&name, message, "remove it");
                }
            }
        }
    }
}

/// The option that a mistyped key may mean: the whole name, or the beginning that a group of options shares.
fn suggestion(name: &str, class: Option<SinkClass>) -> Option<String> {
    let offered = |key: &&Key| !matches!(key.check, Check::Refused(..)) && (key.sink.is_none() || key.sink == class);
    let rows = || keys::pipeline().filter(offered);
    let whole = keys::nearest(name, rows().map(|key| key.name).filter(|name| !name.contains('*')));
    let begins = || {
        rows().filter_map(|key| key.name.strip_suffix(".*")).find_map(|head| {
            let dots = head.matches('.').count();
            let (at, _) = name.match_indices('.').nth(dots)?;
            let (begun, rest) = name.split_at(at);
            keys::nearest(begun, [head]).map(|head| format!("{head}{rest}"))
        })
    };
    whole.map(str::to_owned).or_else(begins)
}

fn topics(values: &mut Values<'_, '_>) -> Vec<String> {
    if values.is_given("topics.regex") && !values.is_given(keys::TOPICS.name) {
        return Vec::new();
    }
    let topics = values.list(&keys::TOPICS);
    if topics.is_empty() && values.is_sound(keys::TOPICS.name) {
        values.problem(keys::TOPICS.name, "names no topic", keys::TOPICS.hint());
    }
    for (at, topic) in topics.iter().enumerate() {
        if topics.iter().take(at).any(|other| other == topic) {
            let message = format!("names {} twice", values.shown(keys::TOPICS.name, topic));
            values.problem(keys::TOPICS.name, message, "remove one of them");
        }
    }
    topics
}

/// The short names of both converters.
fn converters(values: &mut Values<'_, '_>) -> (String, String) {
    let mut one = |converter: &'static Key, schemas: &'static Key| {
        let class = values.text(converter);
        let short =
            keys::CONVERTERS.iter().find(|(_, names)| names.contains(&class.as_str())).map_or("", |(name, _)| name);
        let way_out = || format!("write `{}: false`", schemas.name);
        let is_given = values.is_given(schemas.name);
        if short == "json" && !is_given {
            let message = "is missing, and its default `true` means JSON with a schema, which is not supported yet";
            values.problem_at(values.line(converter.name), schemas.name, message, way_out());
        } else if is_given && values.boolean(schemas) && short == "json" && values.is_sound(schemas.name) {
            values.problem(schemas.name, "asks for JSON with a schema, which is not supported yet", way_out());
        }
        short.to_owned()
    };
    (
        one(&keys::KEY_CONVERTER, &keys::KEY_CONVERTER_SCHEMAS_ENABLE),
        one(&keys::VALUE_CONVERTER, &keys::VALUE_CONVERTER_SCHEMAS_ENABLE),
    )
}

fn errors(values: &mut Values<'_, '_>) -> Errors {
    let retry_timeout_ms = values.whole(&keys::ERRORS_RETRY_TIMEOUT);
    Errors {
        tolerate: values.text(&keys::ERRORS_TOLERANCE) == "all",
        retry_timeout_ms: u64::try_from(retry_timeout_ms).ok(),
        retry_delay_max_ms: values.whole(&keys::ERRORS_RETRY_DELAY_MAX_MS) as u64,
        log: values.boolean(&keys::ERRORS_LOG_ENABLE),
        log_messages: values.boolean(&keys::ERRORS_LOG_INCLUDE_MESSAGES),
    }
}

/// One entry with its references resolved.
#[derive(Debug)]
struct Given<'e> {
    entry: &'e Entry,
    /// None where a reference could not be resolved or the value was refused, which a problem tells already.
    value: Option<String>,
}

/// The values of a pipeline by key. Each method that reads one checks it against its row, notes what is wrong
/// and then returns the default or an empty value: the problems decide in the end whether anything is used.
#[derive(Debug)]
pub(super) struct Values<'e, 's> {
    given: BTreeMap<&'e str, Given<'e>>,
    sources: &'s dyn Sources,
    first_line: Option<usize>,
    problems: Vec<Problem>,
}

impl<'e, 's> Values<'e, 's> {
    /// Resolves the references of all entries, and notes those that cannot be.
    pub(super) fn gather(entries: &'e [Entry], sources: &'s dyn Sources) -> Self {
        let mut problems = Vec::new();
        let mut given = BTreeMap::new();
        for entry in entries {
            let value = match reference::resolve(&entry.value, sources) {
                Ok(value) => Some(value),
                Err(unresolved) => {
                    let problem = |why: reference::Unresolved| Problem::new(&entry.key, why.message, why.hint);
                    problems.extend(unresolved.into_iter().map(|why| problem(why).at(entry.line).secret()));
                    None
                }
            };
            given.insert(entry.key.as_str(), Given { entry, value });
        }
        Values { given, sources, first_line: entries.first().and_then(|entry| entry.line), problems }
    }

    /// Every key that is written.
    pub(super) fn names(&self) -> Vec<String> {
        self.given.keys().map(|&name| name.to_owned()).collect()
    }

    /// What is wrong.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Whether the key is written.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Whether the key is not the subject of a problem yet.
    pub(super) fn is_sound(&self, name: &str) -> bool {
        self.problems.iter().all(|problem| problem.key != name)
    }

    /// The line of a key.
    pub(super) fn line(&self, name: &str) -> Option<usize> {
        self.given.get(name).and_then(|given| given.entry.line)
    }

    /// The value as written, references and all.
    pub(super) fn written(&self, name: &str) -> String {
        self.given.get(name).map(|given| given.entry.value.clone()).unwrap_or_default()
    }

    /// A part of a resolved value as a sentence may show it: where a reference gave it, as written.
    pub(super) fn shown(&self, name: &str, part: &str) -> String {
        let written = self.written(name);
        match reference::is_referring(&written) {
            false => shown(part),
            true if self.peek(name).as_deref() == Some(part) => shown(&written),
            true => format!("a part of {}", shown(&written)),
        }
    }

    /// The resolved value without a check.
    pub(super) fn peek(&self, name: &str) -> Option<String> {
        self.given.get(name)?.value.as_deref().map(|value| value.trim().to_owned())
    }

    /// Resolves the references of a part of a value, all of which are known to resolve.
    pub(super) fn resolve(&self, part: &str) -> String {
        reference::resolve(part, self.sources).unwrap_or_default()
    }

    /// The entries under a prefix with resolved values, blanks and all, in the order of their keys. Entries that
    /// are refused by name or whose references cannot be resolved are left out.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let is_refused = |name: &str| keys::find(name).is_some_and(|key| matches!(key.check, Check::Refused(..)));
        let under = self.given.iter().filter(|(name, _)| name.starts_with(prefix) && !is_refused(name));
        under.filter_map(|(&name, given)| Some((name.to_owned(), given.value.clone()?))).collect()
    }

    /// Notes a problem at the line of its key, or where the key is missing at the top.
    pub(super) fn problem(&mut self, name: &str, message: impl Into<String>, hint: impl Into<String>) {
        let line = self.line(name);
        self.problem_at(line, name, message, hint);
    }

    /// Notes a problem at a line; None = the top.
    pub(super) fn problem_at(
        &mut self,
        line: Option<usize>,
        name: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problems.push(Problem::new(name, message, hint).at(line.or(self.first_line)));
    }

    /// The checked value or the default; None where the key is unset, missing or wrong.
    fn read(&mut self, key: &'static Key) -> Option<String> {
        let Some(given) = self.given.get(key.name) else {
            return match key.default {
                Default::Value(value) => Some(value.to_owned()),
                Default::Unset => None,
                Default::Required => {
                    self.problem(key.name, "is missing", key.hint());
                    None
                }
            };
        };
        let value = given.value.as_deref()?.trim();
        match key.check(value, &given.entry.value) {
            Ok(()) => Some(value.to_owned()),
            Err(message) => {
                self.problem(key.name, message, key.hint());
                None
            }
        }
    }

    /// A text; empty where a problem was noted.
    pub(super) fn text(&mut self, key: &'static Key) -> String {
        self.read(key).unwrap_or_default()
    }

    /// A text that may be unset.
    pub(super) fn optional(&mut self, key: &'static Key) -> Option<String> {
        self.read(key)
    }

    /// The items of a list.
    pub(super) fn list(&mut self, key: &'static Key) -> Vec<String> {
        debug_assert_eq!(key.kind, Type::List, "{}", key.name);
        self.read(key).map(|value| keys::items(&value).map(str::to_owned).collect()).unwrap_or_default()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static Key) -> bool {
        debug_assert_eq!(key.kind, Type::Boolean, "{}", key.name);
        self.read(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A whole number within the bounds of its row; 0 where a problem was noted.
    pub(super) fn whole(&mut self, key: &'static Key) -> i64 {
        debug_assert!(matches!(key.kind, Type::Int | Type::Long), "{}", key.name);
        self.read(key).and_then(|value| value.parse().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "validate_mistakes_tests.rs"]
mod mistakes_tests;
#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;

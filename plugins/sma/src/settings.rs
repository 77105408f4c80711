//! What the operator can set: names, defaults, checks across settings, and what they mean for stored state.

use weir_plugin_sdk::state::Header;
use weir_plugin_sdk::{
    CODE_SETTING, Check, Description, Failure, Importance, KEY, Setting, Settings, TIMESTAMP, duration_us, lateness_us,
};

/// Rows that a window has at most.
pub const ROWS_MAX: u32 = 100_000;
const KEYS_MAX: i64 = 16_777_215;
const WINDOW: &str = "a number of rows from 1 to 100000, or a duration such as 250ms, 5s, 5m, 1h or 1d";
const LATENESS: &str = "0, or a duration such as 250ms, 5s, 5m, 1h or 1d";

/// What a window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The last rows of the key.
    Rows(u32),
    /// The rows of the key in (t - W, t], W in µs, t the event time of the row.
    Time(u64),
}

impl Span {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(rows) = text.parse() {
            return (1..=ROWS_MAX).contains(&rows).then_some(Self::Rows(rows));
        }
        let width_us = u64::try_from(duration_us(text)?).ok()?;
        (width_us > 0).then_some(Self::Time(width_us))
    }
}

/// The settings of one pipeline, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The path of the averaged field.
    pub value_field: String,
    /// The path of the key.
    pub key_field: String,
    /// The path of the event time.
    pub time_field: String,
    /// What a window covers.
    pub window: Span,
    /// Observations from which on a window has a mean.
    pub min_periods: u32,
    /// How much older than the newest of its key a row may be, in µs; 0 in a window of rows.
    pub lateness_us: u64,
    /// Keys that are held at most.
    pub keys_max: u32,
    /// How long a key is remembered that is not seen, in µs of event time; `None` = for ever.
    pub key_ttl_us: Option<u64>,
    /// The field that takes the mean.
    pub output_field: String,
    /// The field that takes the number of observations, if any.
    pub count_field: Option<String>,
    /// The field that takes the sum, if any.
    pub sum_field: Option<String>,
    /// Whether only rows with a mean go on.
    pub only_ready: bool,
}

/// The plugin's description: who it is and every setting.
pub fn describe() -> Description {
    let about = "Simple moving average: the exact mean of a field over a window of rows or of time, per key.";
    let all = [
        field("value.field").importance(Importance::High).doc("The field to average, a number. A row without it, or with null, is no observation; in a window of rows it still takes its place."),
        field("key.field").default_value(KEY).importance(Importance::High).doc("The field whose text tells the windows apart. Rows without it share one window."),
        Setting::string("window").check(Check::Described(WINDOW.to_owned())).importance(Importance::High).doc("What a window covers: a number of rows of the key, or the time (t - window, t] up to the row's own event time t."),
        field("time.field").default_value(TIMESTAMP).doc("The field with the event time. A window of rows needs it only for key.ttl."),
        Setting::long("min.periods").optional().check(Check::AtLeast(1)).doc("Observations from which on a window has a mean. By default all rows of a window of rows, and 1 for a duration."),
        Setting::string("lateness").default_value("0").check(Check::Described(LATENESS.to_owned())).doc("How much older than the newest row of its key a row may be in a window of time. It takes its place in time; an older one passes with a null mean and is not averaged."),
        Setting::long("keys.max").default_value("1000000").check(Check::Range(1, KEYS_MAX)).importance(Importance::Low).doc("Keys that are held at once. One more fails the task."),
        Setting::duration("key.ttl").optional().importance(Importance::Low).doc("A key that is not seen for longer, on the running maximum of event time, is forgotten. By default none is."),
        field("output.field").default_value("sma").doc("The field that takes the mean."),
        field("count.field").optional().importance(Importance::Low).doc("A field that takes the number of observations in the window."),
        field("sum.field").optional().importance(Importance::Low).doc("A field that takes the sum of the window, rounded once."),
        Setting::string("emit").default_value("every").check(Check::OneOf(vec!["every".to_owned(), "ready".to_owned()])).doc("every: all rows go on, with a null mean until the window has min.periods observations. ready: only rows with a mean go on."),
    ];
    let description = Description::new("sma", env!("CARGO_PKG_VERSION"), about);
    all.into_iter().fold(description, Description::setting)
}

fn field(name: &str) -> Setting {
    Setting::string(name).check(Check::NonEmpty)
}

impl Config {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// One sentence that names the setting and what it takes.
    pub fn read(settings: &Settings) -> Result<Self, Failure> {
        let owned = |key| settings.text(key).map(str::to_owned);
        let optional = |key| Ok::<_, Failure>(settings.get(key)?.map(str::to_owned));
        let window = Span::parse(settings.text("window")?).ok_or_else(|| settings.invalid("window", WINDOW))?;
        let config = Self {
            value_field: owned("value.field")?,
            key_field: owned("key.field")?,
            time_field: owned("time.field")?,
            window,
            min_periods: min_periods(settings, window)?,
            lateness_us: lateness(settings, window)?,
            keys_max: u32::try_from(settings.int64("keys.max")?)
                .map_err(|_| settings.invalid("keys.max", "a whole number"))?,
            key_ttl_us: match settings.get("key.ttl")? {
                Some(_) => Some(settings.duration("key.ttl")?.unsigned_abs()),
                None => None,
            },
            output_field: owned("output.field")?,
            count_field: optional("count.field")?,
            sum_field: optional("sum.field")?,
            only_ready: settings.text("emit")? == "ready",
        };
        config.distinct_outputs()?;
        Ok(config)
    }

    fn distinct_outputs(&self) -> Result<(), Failure> {
        let mean = Some(&self.output_field);
        let (count, sum) = (self.count_field.as_ref(), self.sum_field.as_ref());
        let same =
            [(mean, count), (mean, sum), (count, sum)].into_iter().find(|(one, other)| one.is_some() && one == other);
        match same {
            Some((Some(field), _)) => Err(Failure::new(
                CODE_SETTING,
                format!(
                    "Settings `output.field`, `count.field` and `sum.field` need different fields, not `{field}` twice."
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether rows need an event time.
    pub fn needs_time(&self) -> bool {
        matches!(self.window, Span::Time(_))
    }

    /// Why state written under the header's settings cannot go on under these, if so: where the windows
    /// would not be those of an uninterrupted run.
    pub fn refusal(&self, header: &Header) -> Option<String> {
        let written = |key, default: &str| header.setting(key).unwrap_or(default).trim().to_owned();
        let window = written("window", "");
        if Span::parse(&window) != Some(self.window) {
            return Some(refused("window", &window));
        }
        let fields = [
            ("value.field", "", &self.value_field, true),
            ("key.field", KEY, &self.key_field, true),
            ("time.field", TIMESTAMP, &self.time_field, self.needs_time()),
        ];
        let changed = fields
            .into_iter()
            .map(|(key, default, now, counts)| (key, written(key, default), now, counts))
            .find(|(_, then, now, counts)| *counts && then != *now);
        if let Some((key, then, ..)) = changed {
            return Some(refused(key, &then));
        }
        let lateness = written("lateness", "0");
        let kept = lateness_us(&lateness).unwrap_or(0);
        (kept < self.lateness_us).then(|| refused("lateness", &lateness))
    }
}

fn refused(key: &str, then: &str) -> String {
    format!("The windows were kept with `{key}` {then}; set it back to that, or start empty to change it.")
}

fn min_periods(settings: &Settings, window: Span) -> Result<u32, Failure> {
    let (default, most) = match window {
        Span::Rows(rows) => (rows, rows),
        Span::Time(_) => (1, u32::MAX),
    };
    if settings.get("min.periods")?.is_none() {
        return Ok(default);
    }
    let wanted = u32::try_from(settings.int64("min.periods")?).ok();
    wanted.filter(|wanted| (1..=most).contains(wanted)).ok_or_else(|| {
        let takes = match window {
            Span::Rows(_) => {
                format!("a whole number from 1 to {most}, the rows of the window")
            }
            Span::Time(_) => format!("a whole number from 1 to {most}"),
        };
        settings.invalid("min.periods", &takes)
    })
}

fn lateness(settings: &Settings, window: Span) -> Result<u64, Failure> {
    let lateness_us = lateness_us(settings.text("lateness")?).ok_or_else(|| settings.invalid("lateness", LATENESS))?;
    match window {
        Span::Rows(_) if lateness_us > 0 => {
            Err(settings.invalid("lateness", "0 beside a window of rows, which follows the order of arrival"))
        }
        _ => Ok(lateness_us),
    }
}

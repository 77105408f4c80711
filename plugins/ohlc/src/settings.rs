//! What the operator can set: names, defaults, checks across settings, and what they mean for stored state.

use weir_plugin_sdk::state::Header;
use weir_plugin_sdk::{
    CODE_SETTING, Check, Description, Failure, Importance, KEY, Setting, Settings, TIMESTAMP, duration_us, lateness_us,
};

/// Open windows that may be held at most: what one call may give back when all of them fire at one row.
const WINDOWS_MAX: i64 = 1_000_000;
const INTERVAL: &str = "a duration above 0 such as 250ms, 1s, 5m, 1h or 1d";
const LATENESS: &str = "0, or a duration such as 250ms, 5s, 5m, 1h or 1d";
const FUTURE: &str = "none, or a duration such as 5m, 1h or 1d";

/// How volumes come, are summed and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeType {
    /// Whole numbers of 64 bits; a row whose volume does not fit into the sum is rejected.
    Int64,
    /// Doubles; the exact sum, rounded once.
    Float64,
}

/// The settings about volume, where it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeConfig {
    /// The path of the volume.
    pub field: String,
    /// How volumes are summed.
    pub volume_type: VolumeType,
    /// The field that takes the sum.
    pub output_field: String,
}

/// The settings of one pipeline, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The path of the price.
    pub price_field: String,
    /// The path of the key.
    pub key_field: String,
    /// The path of the event time.
    pub time_field: String,
    /// The length of a window in µs; at least 1.
    pub interval_us: i64,
    /// µs by which the watermark stays behind the newest event time.
    pub lateness_us: u64,
    /// µs by which a row may be ahead of the newest event time before it; `None` = no bound.
    pub future_max_us: Option<u64>,
    /// Open windows that are held at most.
    pub windows_max: u32,
    /// What is summed, if anything.
    pub volume: Option<VolumeConfig>,
    /// The field that takes the key of the window, beside the record's key.
    pub key_output_field: String,
    /// The field that takes the beginning of the window.
    pub start_field: String,
    /// The field that takes the first price.
    pub open_field: String,
    /// The field that takes the highest price.
    pub high_field: String,
    /// The field that takes the lowest price.
    pub low_field: String,
    /// The field that takes the last price.
    pub close_field: String,
    /// The field that takes the number of prices.
    pub count_field: String,
}

/// The plugin's description: who it is and every setting.
pub fn describe() -> Description {
    let about = "Open, high, low, close and volume per key and interval of event time: one row per window, when the watermark passes its end.";
    let low = Importance::Low;
    let all = [
        field("price.field").importance(Importance::High).doc("The field with the price, a number. A row without it, with null or with NaN in it, is no observation."),
        field("volume.field").optional().importance(Importance::High).doc("The field with the volume, a number that is summed over the window. By default nothing is summed."),
        Setting::string("volume.type").default_value("float64").check(Check::one_of(["float64", "int64"])).doc("float64: the exact sum of doubles, rounded once. int64: whole numbers; a row with which the sum leaves 64 bits is rejected."),
        field("key.field").default_value(KEY).importance(Importance::High).doc("The field whose text tells the windows apart. Rows without it share one window per interval."),
        field("time.field").default_value(TIMESTAMP).doc("The field with the event time. A row without it is rejected."),
        Setting::string("interval").check(Check::Described(INTERVAL.to_owned())).importance(Importance::High).doc("The length of a window. Windows lie end to end from 1970-01-01T00:00:00Z on; each takes its beginning and not its end."),
        Setting::string("lateness").default_value("0").check(Check::Described(LATENESS.to_owned())).doc("How far the watermark stays behind the newest event time: how long a window waits for rows that come late. A row that comes when its window has fired is counted and dropped."),
        Setting::string("future.max").default_value("30d").check(Check::Described(FUTURE.to_owned())).doc("How far ahead of the newest event time before it in its partition a row may be. One further ahead is rejected: it would fire every window, and all rows after it were late. It has to be longer than the longest pause in the stream. none: no bound."),
        Setting::long("windows.max").default_value("200000").check(Check::Range(1, WINDOWS_MAX)).importance(low).doc("Open windows that are held at once in a partition. One more fails the task. All of them may fire at one row, and a call gives at most 64 MiB of rows."),
        field("start.field").default_value("window_start").importance(low).doc("The field that takes the beginning of the window, a timestamp."),
        field("key.output.field").optional().importance(low).doc("The field that takes the key of the window; it becomes the record's key, too. By default key.field, or `key` where that is the record's own."),
        field("open.field").default_value("open").importance(low).doc("The field that takes the first price: that of the earliest event time, and of equal ones the first in the topic."),
        field("high.field").default_value("high").importance(low).doc("The field that takes the highest price."),
        field("low.field").default_value("low").importance(low).doc("The field that takes the lowest price."),
        field("close.field").default_value("close").importance(low).doc("The field that takes the last price: that of the latest event time, and of equal ones the last in the topic."),
        field("volume.output.field").default_value("volume").importance(low).doc("The field that takes the sum of volumes; null where no row of the window had one."),
        field("count.field").default_value("count").importance(low).doc("The field that takes the number of prices in the window."),
    ];
    let description = Description::new("ohlc", env!("CARGO_PKG_VERSION"), about);
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
        let key_field = owned("key.field")?;
        let own_key = if key_field.starts_with('$') { "key" } else { &key_field };
        let key_output_field = settings.get("key.output.field")?.unwrap_or(own_key).to_owned();
        let config = Self {
            price_field: owned("price.field")?,
            time_field: owned("time.field")?,
            interval_us: parse_interval(settings.text("interval")?)
                .ok_or_else(|| settings.invalid("interval", INTERVAL))?,
            lateness_us: lateness_us(settings.text("lateness")?)
                .ok_or_else(|| settings.invalid("lateness", LATENESS))?,
            future_max_us: match settings.text("future.max")? {
                "none" => None,
                text => Some(parse_duration(text).ok_or_else(|| settings.invalid("future.max", FUTURE))?),
            },
            windows_max: u32::try_from(settings.int64("windows.max")?)
                .map_err(|_| settings.invalid("windows.max", "a whole number"))?,
            volume: VolumeConfig::read(settings)?,
            key_field,
            key_output_field,
            start_field: owned("start.field")?,
            open_field: owned("open.field")?,
            high_field: owned("high.field")?,
            low_field: owned("low.field")?,
            close_field: owned("close.field")?,
            count_field: owned("count.field")?,
        };
        config.distinct_outputs()?;
        Ok(config)
    }

    fn distinct_outputs(&self) -> Result<(), Failure> {
        let mut fields = vec![
            ("`$key`", KEY),
            ("`start.field`", &self.start_field),
            ("`key.output.field`", &self.key_output_field),
            ("`open.field`", &self.open_field),
            ("`high.field`", &self.high_field),
            ("`low.field`", &self.low_field),
            ("`close.field`", &self.close_field),
            ("`count.field`", &self.count_field),
        ];
        fields.extend(self.volume.iter().map(|volume| ("`volume.output.field`", volume.output_field.as_str())));
        fields.sort_by_key(|(_, field)| *field);
        match fields.iter().zip(fields.iter().skip(1)).find(|((_, one), (_, other))| one == other) {
            Some(((one, field), (other, _))) => Err(Failure::new(
                CODE_SETTING,
                format!("Outputs {one} and {other} need different fields, not `{field}` twice."),
            )),
            None => Ok(()),
        }
    }

    /// Why state written under the header's settings cannot go on under these, if so: where the windows
    /// would not be those of an uninterrupted run.
    pub fn refusal(&self, header: &Header) -> Option<String> {
        let written = |key, default: &str| header.setting(key).unwrap_or(default).trim().to_owned();
        let interval = written("interval", "");
        if parse_interval(&interval) != Some(self.interval_us) {
            return Some(refused("interval", &interval));
        }
        let (volume_field, volume_type) = match &self.volume {
            Some(VolumeConfig { field, volume_type: VolumeType::Int64, .. }) => (field.as_str(), "int64"),
            Some(VolumeConfig { field, volume_type: VolumeType::Float64, .. }) => (field.as_str(), "float64"),
            None => ("", ""),
        };
        let fields = [
            ("price.field", "", self.price_field.as_str()),
            ("key.field", KEY, &self.key_field),
            ("time.field", TIMESTAMP, &self.time_field),
            ("volume.field", "", volume_field),
        ];
        let changed = fields.into_iter().map(|(key, default, now)| (key, written(key, default), now));
        if let Some((key, then, _)) = changed.into_iter().find(|(_, then, now)| then != now) {
            return Some(refused(key, if then.is_empty() { "not set" } else { &then }));
        }
        let then = written("volume.type", "float64");
        if !volume_type.is_empty() && then != volume_type {
            return Some(refused("volume.type", &then));
        }
        let lateness = written("lateness", "0");
        let kept = lateness_us(&lateness).unwrap_or(0);
        (kept < self.lateness_us).then(|| refused("lateness", &lateness))
    }
}

impl VolumeConfig {
    fn read(settings: &Settings) -> Result<Option<Self>, Failure> {
        let Some(field) = settings.get("volume.field")? else {
            return Ok(None);
        };
        let volume_type = match settings.text("volume.type")? {
            "int64" => VolumeType::Int64,
            _ => VolumeType::Float64,
        };
        let output_field = settings.text("volume.output.field")?.to_owned();
        Ok(Some(Self { field: field.to_owned(), volume_type, output_field }))
    }
}

fn refused(key: &str, then: &str) -> String {
    format!("The windows were kept with `{key}` {then}; set it back to that, or start empty to change it.")
}

fn parse_duration(text: &str) -> Option<u64> {
    u64::try_from(duration_us(text)?).ok()
}

fn parse_interval(text: &str) -> Option<i64> {
    duration_us(text).filter(|interval_us| *interval_us > 0)
}

//! The life of a guest, its log lines and its figures.

use weir_plugin_sdk::guest::Guest;
use weir_plugin_sdk::log::{self, Level};
use weir_plugin_sdk::metric::{self, Counter, Gauge};
use weir_plugin_sdk::{
    Batch, CODE_COLUMN, CODE_ORDER, Column, Description, Failure, Kind, Output, Plan, Plugin, Settings, Values,
};

/// Logs and measures what it is given; a negative watermark is its failure.
#[derive(Debug)]
struct Witness {
    rows: Counter,
    last: Gauge,
}

impl Plugin for Witness {
    fn describe() -> Description {
        Description::new("witness", "1.0.0", "Logs and measures.")
    }

    fn configure(_: &Settings) -> Result<(Self, Plan), Failure> {
        let witness =
            Self { rows: Counter::declare("rows", "Rows seen."), last: Gauge::declare("last", "Last value seen.") };
        Ok((witness, Plan::new().input("x", Kind::Float64).output("watermark", Kind::Timestamp)))
    }

    fn process(&mut self, batch: &Batch<'_>, _: &mut Output) -> Result<(), Failure> {
        log::info(format_args!("{} rows", batch.len()));
        self.rows.add(batch.len() as f64);
        if let Some(last) = batch.float64s(0)?.values().last() {
            self.last.set(*last);
        }
        Ok(())
    }

    fn advance(&mut self, watermark_us: i64, output: &mut Output) -> Result<(), Failure> {
        if watermark_us < 0 {
            return Err(Failure::new(1, "The watermark is before 1970.").retryable());
        }
        output.row(0).set("watermark", watermark_us)?;
        Ok(())
    }
}

fn configured() -> Guest<Witness> {
    let mut guest = Guest::new();
    guest.configure([]).unwrap();
    guest
}

#[test]
fn log_lines_and_figures_reach_the_test() {
    let mut guest = configured();
    guest.process(2, &[Column::of(Values::Float64s(&[1.0, 2.5]))]).unwrap();
    guest.process(1, &[Column::of(Values::Float64s(&[0.5]))]).unwrap();
    log::debug("d");
    log::warn("w");
    log::error("e");
    let lines = log::taken();
    let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["2 rows", "1 rows", "d", "w", "e"]);
    assert_eq!((lines[0].0, lines[2].0, lines[4].0), (Level::Info, Level::Debug, Level::Error));
    assert_eq!(log::taken(), []);
    assert_eq!((metric::value("rows"), metric::value("last"), metric::value("none")), (Some(3.0), Some(0.5), None));
}

#[test]
fn a_guest_is_configured_once_and_before_anything_else() {
    let mut guest = Guest::<Witness>::new();
    let unconfigured = Failure::new(CODE_ORDER, "The plugin was called before it was configured.");
    assert_eq!(guest.process(1, &[]).unwrap_err(), unconfigured);
    assert_eq!(guest.plan().unwrap_err(), unconfigured);
    assert_eq!(guest.configure([]).unwrap().inputs().len(), 1);
    let again = "The plugin is configured already: a new configuration needs a new instance.";
    assert_eq!(guest.configure([]).unwrap_err(), Failure::new(CODE_ORDER, again));
}

#[test]
fn a_failed_configuration_may_be_followed_by_another() {
    let mut guest = Guest::<Witness>::new();
    guest.configure([("x".to_owned(), "1".to_owned())]).unwrap_err();
    guest.configure([]).unwrap();
}

#[test]
fn advance_writes_rows_without_a_batch() {
    let mut guest = configured();
    let emitted = guest.advance(1_500).unwrap().emitted();
    assert_eq!((emitted.rows, emitted.columns[0].values), (1, Values::Int64s(&[1_500])));
    let failure = guest.advance(-1).unwrap_err();
    assert!(failure.retryable);
    assert_eq!(failure.to_string(), "The watermark is before 1970. (code 1)");
}

#[test]
fn columns_of_another_shape_fail_the_call() {
    let failure = configured().process(2, &[Column::of(Values::Float64s(&[1.0]))]).unwrap_err();
    assert_eq!(failure.code, CODE_COLUMN);
}

//! Failpoints: places before and after each step of a record's and a checkpoint's way, at which a test has the real
//! program crash, fail or hang.
//!
//! They are in every build, so that what is tested is what runs, and so that no second build is needed. A point is
//! passed once per batch, flush, claim or chunk, never per record, and unless points are armed it is one load and a
//! branch. They are armed by [`VARIABLE`] alone, which `weir run` reads once before anything starts and says so as a
//! warning. The crate `fail`, the usual choice, has neither: it is compiled out or looked up by name in a locked map,
//! unwinds where a process has to be gone at once, and blocks a thread where a future has to wait.
//!
//! `POINT=ACTION@N`, separated by commas: the action happens at the N-th passing of the point (first: 1, also where
//! `@N` is left out), once. Actions:
//!
//! - `crash`: the process is aborted; nothing unwinds, nothing is flushed.
//! - `error`: the step fails as it would in the field: a step on a database connection by the loss of that connection,
//!   one on a file by what the operating system says, one on records by its own kind of error.
//! - `hang:FILE`: the step stands still until the file is there.

use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use clap::ValueEnum;

use crate::error::{Error, Kind, Result};

/// The environment variable that arms points.
pub const VARIABLE: &str = "WEIR_FAILPOINTS";
/// How often a step that hangs looks whether it may go on.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The points. Each stands at one place of the code; its name on the command line is in kebab case.
///
/// What lies after one step and before the next has one point. `BeforeAdvance` and `BeforeCommit` are reached when the
/// database has answered everything that was sent before; otherwise these requests travel together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Point {
    /// The claim of lanes has not begun.
    BeforeClaim,
    /// Its statements are executed, its COMMIT is not sent.
    HalfClaim,
    /// Its COMMIT is answered.
    AfterClaim,
    /// The consumer's queue is about to be read.
    BeforePoll,
    /// Records have been read from it.
    AfterPoll,
    /// A run is about to be decoded.
    BeforeDecode,
    /// It is decoded.
    AfterDecode,
    /// A guest is about to be given rows.
    BeforeCall,
    /// It has processed them.
    AfterCall,
    /// Rows are about to be encoded.
    BeforeEncode,
    /// They are in the lane's open segment.
    AfterEncode,
    /// A flush has not begun.
    BeforeCopy,
    /// Half of a segment's bytes are sent.
    HalfCopy,
    /// All rows are sent, the end of COPY is not.
    AfterCopy,
    /// COPY is ended and decisions are written, positions are not moved.
    BeforeAdvance,
    /// Positions are moved, COMMIT is not sent.
    BeforeCommit,
    /// COMMIT is answered.
    AfterCommit,
    /// A chunk of a checkpoint is about to be stored.
    BeforeChunk,
    /// It is stored.
    AfterChunk,
    /// A chunk's file is written under another name and synced.
    BeforeRename,
    /// It is renamed, its folder is not synced.
    AfterRename,
    /// The transaction that makes a checkpoint count has not begun.
    BeforeManifest,
    /// Its COMMIT is answered.
    AfterManifest,
    /// The manifest is written, older ones are still there.
    BeforePrune,
    /// They and their chunks are deleted, COMMIT is not sent.
    AfterPrune,
    /// Folders of chunks that nobody needs any more are about to be removed.
    BeforeRemove,
    /// They are removed.
    AfterRemove,
    /// A chunk is about to be read back.
    BeforeLoad,
    /// It is read.
    AfterLoad,
}

/// What happens at a point.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Crash,
    Error,
    Hang(PathBuf),
}

/// A point with what happens there, and when.
#[derive(Debug)]
struct Armed {
    point: Point,
    action: Action,
    /// At which passing.
    at: u64,
    passed: AtomicU64,
}

static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

/// Arms points for the rest of the process, where `written`, the text of [`VARIABLE`], names any. Errors:
/// [`Kind::Config`], also at a second call.
pub fn arm(written: Option<&str>) -> Result<()> {
    let Some(written) = written.filter(|written| !written.is_empty()) else { return Ok(()) };
    let armed = written.split(',').map(parse).collect::<Result<_>>()?;
    tracing::warn!("{VARIABLE} is set: this worker is going to fail on purpose, by `{written}`");
    ARMED.set(armed).map_err(|_| Error::new(Kind::Config, format!("{VARIABLE} is read a second time")))
}

fn parse(written: &str) -> Result<Armed> {
    let wrong = |what: &str| {
        let way_out = "write POINT=crash, POINT=error or POINT=hang:FILE, with @N at the end for the N-th passing";
        Error::new(Kind::Config, format!("{VARIABLE}: `{written}` {what}; {way_out}"))
    };
    let (point, rest) = written.split_once('=').ok_or_else(|| wrong("has no action"))?;
    let point = Point::from_str(point, false).map_err(|_| wrong("names no failpoint"))?;
    let (action, at) = rest.rsplit_once('@').unwrap_or((rest, "1"));
    let at = at.parse().ok().filter(|&at| at > 0).ok_or_else(|| wrong("has no number behind the @"))?;
    let action = match (action, action.strip_prefix("hang:")) {
        ("crash", _) => Action::Crash,
        ("error", _) => Action::Error,
        (_, Some(file)) if !file.is_empty() => Action::Hang(file.into()),
        _ => return Err(wrong("has another action")),
    };
    Ok(Armed { point, action, at, passed: AtomicU64::new(0) })
}

/// Whether something will happen, or has happened, at a point.
#[inline]
pub fn is_armed(point: Point) -> bool {
    ARMED.get().is_some_and(|armed| armed.iter().any(|armed| armed.point == point))
}

/// Counts a passing; what happens now.
#[inline]
fn reached(point: Point) -> Option<&'static Action> {
    ARMED.get().and_then(|armed| armed.iter().find_map(|armed| armed.pass(point)))
}

impl Armed {
    fn pass(&self, point: Point) -> Option<&Action> {
        if self.point != point || self.passed.fetch_add(1, Ordering::Relaxed) + 1 != self.at {
            return None;
        }
        tracing::warn!(point = name(point), action = ?self.action, passing = self.at, "failpoint reached");
        if self.action == Action::Crash {
            process::abort();
        }
        Some(&self.action)
    }
}

/// All points.
pub fn points() -> &'static [Point] {
    Point::value_variants()
}

/// The name of a point, as it is armed by.
pub fn name(point: Point) -> String {
    point.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Passes a point on a thread that may wait. Returns whether the step is to fail.
#[inline]
pub fn fails(point: Point) -> bool {
    match reached(point) {
        None => false,
        Some(Action::Hang(file)) => {
            // Nobody sends: a wait that stops nothing but this thread.
            let (_silent, nothing) = mpsc::channel::<()>();
            while !may_go_on(point, file) {
                let _ = nothing.recv_timeout(LOOK_INTERVAL);
            }
            false
        }
        Some(Action::Crash | Action::Error) => true,
    }
}

/// Passes a point where others share the thread. Returns whether the step is to fail.
#[inline]
pub async fn fails_async(point: Point) -> bool {
    match reached(point) {
        None => false,
        Some(Action::Hang(file)) => {
            while !may_go_on(point, file) {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            false
        }
        Some(Action::Crash | Action::Error) => true,
    }
}

fn may_go_on(point: Point, file: &Path) -> bool {
    let goes_on = file.exists();
    if goes_on {
        tracing::warn!(point = name(point), "failpoint left");
    }
    goes_on
}

/// Passes a point of a step that fails by an error of this kind.
#[inline]
pub fn pass(point: Point, kind: Kind) -> Result<()> {
    if fails(point) { Err(error(point, kind)) } else { Ok(()) }
}

/// The same where others share the thread.
#[inline]
pub async fn pass_async(point: Point, kind: Kind) -> Result<()> {
    if fails_async(point).await { Err(error(point, kind)) } else { Ok(()) }
}

fn error(point: Point, kind: Kind) -> Error {
    Error::new(kind, format!("failpoint {} is armed", name(point)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;

    #[test]
    fn what_is_written_arms_a_point_at_a_passing() {
        let armed = |written| parse(written).map(|armed| (armed.point, armed.action, armed.at));
        assert_eq!(armed("before-copy=crash").unwrap(), (Point::BeforeCopy, Action::Crash, 1));
        assert_eq!(armed("half-copy=error@12").unwrap(), (Point::HalfCopy, Action::Error, 12));
        let hang = Action::Hang("/a=b@c/go".into());
        assert_eq!(armed("after-poll=hang:/a=b@c/go@3").unwrap(), (Point::AfterPoll, hang, 3));
    }

    #[test]
    fn mistakes_are_told_with_the_way_out() {
        for (written, what) in [
            ("before-copy", "has no action"),
            ("nowhere=crash", "names no failpoint"),
            ("before-copy=crash@0", "has no number behind the @"),
            ("before-copy=hang:", "has another action"),
            ("before-copy=panic", "has another action"),
        ] {
            let error = parse(written).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains(&format!("`{written}` {what}; write POINT=crash")), "{error}");
        }
    }

    #[test]
    fn a_point_acts_once_at_its_passing() {
        let armed = parse("before-copy=error@3").unwrap();
        let acts: Vec<bool> = (0..5).map(|_| armed.pass(Point::BeforeCopy).is_some()).collect();
        assert_eq!(acts, [false, false, true, false, false]);
        assert!(armed.pass(Point::HalfCopy).is_none());
    }

    #[test]
    fn nothing_happens_where_nothing_is_armed() {
        arm(None).unwrap();
        arm(Some("")).unwrap();
        assert!(!fails(Point::BeforePoll) && !is_armed(Point::BeforePoll));
        assert!(pass(Point::BeforeDecode, Kind::Internal).is_ok());
    }
}

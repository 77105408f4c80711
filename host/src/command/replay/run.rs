//! A replay into a table of its own: a worker with one pipeline that ends.

use std::env;
use std::time::Duration;

use uuid::Uuid;

use super::plan::Plan;
use crate::app::App;
use crate::command::display::progress;
use crate::command::named::Named;
use crate::config::pipeline::{Pipeline, Sink};
use crate::error::{Error, Kind, Result};
use crate::sink::timescale::archive::{Archive, Shelf};
use crate::task::status::{LaneStatus, State};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Replays into a table, from where it was stopped if it was.
pub fn into(named: &Named, mut archive: Archive, plan: &Plan, table: &str, id: Option<String>) -> Result<()> {
    let id = id.unwrap_or_else(|| Uuid::new_v4().simple().to_string().chars().take(8).collect());
    let pipeline = bounded(named, plan, table, &id);
    let shelf = Shelf { pipeline: &pipeline.name.clone(), in_directory: pipeline.checkpoints.in_directory };
    if named.wait(archive.standings(shelf.pipeline))?.is_empty() {
        named.wait(archive.place(shelf, &plan.placements(), "replay"))?;
    }
    println!("replay {id} begins; if it is stopped, `--id {id}` goes on");
    let app = App::start(&named.settings, env::current_exe().ok(), |_| Ok((vec![pipeline], Vec::new())))?;
    let ended = follow(&app, shelf.pipeline, plan);
    app.drain()?;
    let records = ended?;
    named.wait(archive.clear(shelf))?;
    named.wait(archive.close());
    println!("replayed: {records} offsets of {} lanes into table {table}", plan.steps.len());
    Ok(())
}

/// The live pipeline under another name, with an end.
fn bounded(named: &Named, plan: &Plan, table: &str, id: &str) -> Pipeline {
    let mut pipeline = named.pipeline.clone();
    pipeline.name = format!("{}@replay-{id}", named.pipeline.name);
    pipeline.group = format!("connect-{}", pipeline.name);
    pipeline.until = plan.until();
    // History is given again as the log has it, which ends for no partition by a silence.
    pipeline.idle_timeout_ms = 0;
    let mut settings = named.table.clone();
    table.clone_into(&mut settings.table_format);
    pipeline.sink = Sink::Timescale(settings);
    pipeline
}

/// Waits until every lane has ended and is written. Returns the number of offsets passed.
fn follow(app: &App, pipeline: &str, plan: &Plan) -> Result<u64> {
    let length = |(from, to): (i64, i64)| (to - from).max(0) as u64;
    let total: u64 = plan.steps.iter().map(|step| length((step.from, step.to))).sum();
    let bar = progress(total, "{bar:40} {human_pos}/{human_len} {per_sec} {eta} {msg}");
    loop {
        let status = app.worker().status(pipeline);
        let tasks = status.map(|status| status.tasks).unwrap_or_default();
        if let Some(trace) = tasks.iter().find(|task| task.state == State::Failed).and_then(|task| task.trace.clone()) {
            bar.abandon();
            return Err(Error::new(Kind::ReplayFailed, trace));
        }
        let lanes = plan.steps.iter().map(|step| (step, tasks.iter().find_map(|task| task.lanes.get(&step.lane))));
        let (mut done, mut passed) = (true, 0);
        for (step, lane) in lanes {
            done &= lane.is_some_and(has_ended);
            passed += lane.and_then(|lane| lane.next_offset).map_or(0, |at| length((step.from, at.min(step.to))));
        }
        bar.set_position(passed);
        bar.set_message(if tasks.iter().any(|task| task.lanes.values().any(|lane| lane.replay_until.is_some())) {
            "rebuilding state"
        } else {
            ""
        });
        if done {
            bar.finish();
            return Ok(total);
        }
        app.runtime().block_on(async { tokio::time::sleep(LOOK).await });
    }
}

/// Whether a lane has been read to its end, and all of it is written.
fn has_ended(lane: &LaneStatus) -> bool {
    lane.doing == "ended" && lane.processed == lane.next_offset
}

//! `weir replay`: history processed again with today's chain. Into a table beside the live one, under a position of its
//! own; or over the rows of the live pipeline, which goes back and replaces them transaction by transaction.

mod plan;
mod run;

use clap::Args;

use self::plan::{Moment, Plan};
use super::named::Named;
use crate::app::plugins;
use crate::config::worker::WorkerArgs;
use crate::error::{Error, Kind, Result};
use crate::record::Lane;
use crate::sink::timescale::archive::{Archive, Source};

/// `weir replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The pipeline's name, or its file
    pipeline: String,

    /// Where to begin in each partition: an offset, a time such as 2026-05-01T00:00:00Z, or `earliest`
    #[arg(long, value_name = "OFFSET|TIME|earliest")]
    from: Moment,

    /// Where to end: an offset, a time, or `latest`, where the log ends now
    #[arg(long, value_name = "OFFSET|TIME|latest", default_value = "latest", conflicts_with = "rewind")]
    to: Moment,

    /// The table for the rows; the live pipeline and its table are not touched
    #[arg(long, value_name = "TABLE", required_unless_present = "rewind", conflicts_with = "rewind")]
    into: Option<String>,

    /// Send the live pipeline itself back: each transaction replaces the rows of its records (needs `kafka.coordinates`)
    #[arg(long)]
    rewind: bool,

    /// Begin with empty state where the state at the start cannot be rebuilt any more
    #[arg(long, conflicts_with = "rewind")]
    cold: bool,

    /// The replay's id; a replay that was stopped goes on under the same [default: made up]
    #[arg(long, value_name = "ID", conflicts_with = "rewind")]
    id: Option<String>,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    worker: WorkerArgs,
}

/// Replays.
pub fn run(mut args: ReplayArgs) -> Result<()> {
    let mut worker = std::mem::take(&mut args.worker);
    // The worker of the live pipeline has its own address.
    worker.rest.get_or_insert_with(|| "127.0.0.1:0".to_owned());
    let named = Named::find(worker, &args.pipeline)?;
    if args.rewind {
        named.coordinates()?;
    }
    let mut archive = named.archive()?;
    let plan = plan(&args, &named, &archive)?;
    println!("{plan}");
    if args.rewind {
        note_index(&named, &archive)?;
    }
    if args.dry_run {
        println!("nothing was changed");
        return Ok(());
    }
    if args.rewind {
        named.wait(archive.place(named.shelf(), &plan.placements(), "rewind"))?;
        println!("pipeline {} goes back; its status shows how far it is", named.pipeline.name);
        return Ok(());
    }
    let table = args.into.unwrap_or_default();
    run::into(&named, archive, &plan, &table, args.id)
}

/// Says where a rewind would be slow.
fn note_index(named: &Named, archive: &Archive) -> Result<()> {
    let table = &named.table.table_format;
    if !table.contains("${") && !named.wait(archive.has_coordinate_index(table))? {
        eprintln!(
            "note: no index of {table} finds rows by their coordinates, so that each transaction reads the whole table; for a \
             large one first run\n  CREATE INDEX ON {table} (kafka_topic, kafka_partition, kafka_offset)"
        );
    }
    Ok(())
}

/// What to do, from what the log and the database hold.
fn plan(args: &ReplayArgs, named: &Named, archive: &Archive) -> Result<Plan> {
    let pipeline = &named.pipeline;
    let catalog = plugins::catalog(&named.settings, std::env::current_exe().ok())?;
    let stateful = plugins::is_stateful(&catalog, pipeline)?;
    let log = named.log()?;
    let mut lanes = Vec::new();
    for topic in &pipeline.topics {
        lanes.extend(log.lanes(topic)?);
    }
    let standings = named.wait(archive.standings(&pipeline.name))?;
    if args.rewind && standings.is_empty() {
        let message = format!("pipeline {} has not run yet: there is nothing to go back from", pipeline.name);
        return Err(Error::new(Kind::Request, message));
    }
    let states = if stateful { states(named, archive)? } else { Vec::new() };
    let mut plan = Plan { pipeline: pipeline.name.clone(), into: args.into.clone(), steps: Vec::new() };
    let (froms, tos) = (args.from.offsets(&log, &lanes)?, args.to.offsets(&log, &lanes)?);
    for (lane, (from, to)) in lanes.iter().zip(froms.into_iter().zip(tos)) {
        let known = plan::Known {
            lane,
            ends: log.ends(lane)?,
            standing: standings.iter().find(|standing| standing.lane == *lane),
            states: states.iter().filter(|(of, _)| of == lane).map(|(_, source)| source).collect(),
            stateful,
        };
        plan.steps.extend(known.step(from, to, args.rewind, args.cold)?);
    }
    Ok(plan)
}

/// The states that may be begun with: the pipeline's checkpoints, and its savepoints.
fn states(named: &Named, archive: &Archive) -> Result<Vec<(Lane, Source)>> {
    let shelf = named.shelf();
    let own = named.wait(archive.checkpoints(shelf.pipeline))?;
    let mut states: Vec<_> = own
        .into_iter()
        .map(|(lane, manifest)| {
            let source = Source { pipeline: shelf.pipeline.to_owned(), in_directory: shelf.in_directory, manifest };
            (lane, source)
        })
        .collect();
    for savepoint in named.wait(archive.savepoints())? {
        if savepoint.pipeline == shelf.pipeline {
            let sources = savepoint.lanes.iter().filter_map(|(lane, _)| Some((lane.clone(), savepoint.source(lane)?)));
            states.extend(sources);
        }
    }
    Ok(states)
}

//! `weir savepoint`: the state of a pipeline under a name, kept until it is deleted.

use clap::{Args, Subcommand};

use super::display::size;
use super::named::Named;
use crate::config::worker::WorkerArgs;
use crate::error::{Error, Kind, Result};
use crate::record::Lane;
use crate::sink::timescale::archive::{Placement, Savepoint, Standing};
use crate::state::Manifest;

/// `weir savepoint`.
#[derive(Debug, Args)]
pub struct SavepointArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep the newest checkpoint of each lane; the pipeline may run
    Create {
        #[command(flatten)]
        of: OfPipeline,
        /// The savepoint's name
        savepoint: String,
    },
    /// Show the savepoints in a pipeline's database, the newest first
    List {
        #[command(flatten)]
        of: OfPipeline,
    },
    /// Give a pipeline the state of a savepoint: a new one begins there, the one that it was made of keeps its position
    /// and replays with output off. A running worker takes it up by itself
    Restore {
        #[command(flatten)]
        of: OfPipeline,
        /// The savepoint's name
        savepoint: String,
        /// Go back to the savepoint's offsets and write the rows from there on anew (needs `kafka.coordinates`)
        #[arg(long)]
        rewind: bool,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a savepoint with its state
    Delete {
        #[command(flatten)]
        of: OfPipeline,
        /// The savepoint's name
        savepoint: String,
    },
}

#[derive(Debug, Args)]
struct OfPipeline {
    /// The pipeline's name, or its file
    pipeline: String,
    #[command(flatten)]
    worker: WorkerArgs,
}

impl OfPipeline {
    fn find(self) -> Result<Named> {
        Named::find(self.worker, &self.pipeline)
    }
}

/// Does what the arguments say.
pub fn run(args: SavepointArgs) -> Result<()> {
    match args.verb {
        Verb::Create { of, savepoint } => create(&of.find()?, &savepoint),
        Verb::List { of } => list(&of.find()?),
        Verb::Restore { of, savepoint, rewind, dry_run } => restore(&of.find()?, &savepoint, rewind, dry_run),
        Verb::Delete { of, savepoint } => delete(&of.find()?, &savepoint),
    }
}

fn create(of: &Named, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        let message = "a savepoint's name has 1 to 200 bytes without control characters";
        return Err(Error::new(Kind::Request, message));
    }
    let mut archive = of.archive()?;
    let lanes = of.wait(archive.save(of.shelf(), name))?;
    println!("savepoint {name} of pipeline {}", of.pipeline.name);
    show(&lanes);
    of.wait(archive.close());
    Ok(())
}

fn list(of: &Named) -> Result<()> {
    let archive = of.archive()?;
    let savepoints = of.wait(archive.savepoints())?;
    of.wait(archive.close());
    if savepoints.is_empty() {
        println!("there is no savepoint in schema {}", of.table.schema);
    }
    for Savepoint { name, pipeline, in_directory, created_at, lanes } in &savepoints {
        let place = if *in_directory { "the state directory" } else { "the database" };
        println!("{name}: pipeline {pipeline}, made at {created_at} UTC, in {place}");
        show(lanes);
    }
    Ok(())
}

fn delete(of: &Named, name: &str) -> Result<()> {
    let mut archive = of.archive()?;
    of.wait(archive.delete(name))?;
    println!("savepoint {name} is deleted");
    of.wait(archive.close());
    Ok(())
}

fn restore(of: &Named, name: &str, rewind: bool, dry_run: bool) -> Result<()> {
    let mut archive = of.archive()?;
    let savepoint = of.wait(archive.savepoint(name))?;
    let standings = of.wait(archive.standings(&of.pipeline.name))?;
    if rewind {
        of.coordinates()?;
    }
    let placements = place(&of.pipeline.name, &savepoint, &standings, rewind)?;
    for Placement { lane, next_offset, state, .. } in &placements {
        let at = state.as_ref().map_or(0, |source| source.manifest.at);
        let stands = standings.iter().find(|standing| standing.lane == *lane).map(|standing| standing.next_offset);
        match (stands, next_offset) {
            (Some(stands), None) => println!("{lane}: state of offset {at}, replayed with output off up to {stands}"),
            (Some(stands), Some(_)) => println!("{lane}: back from offset {stands} to {at}, rows written anew"),
            (None, _) => println!("{lane}: begins at offset {at}"),
        }
    }
    if dry_run {
        println!("nothing was changed");
    } else {
        of.wait(archive.place(of.shelf(), &placements, &format!("restore of savepoint {name}")))?;
        println!("savepoint {name} is restored into pipeline {}", of.pipeline.name);
    }
    of.wait(archive.close());
    Ok(())
}

/// What becomes of each lane of the savepoint.
fn place(pipeline: &str, savepoint: &Savepoint, standings: &[Standing], rewind: bool) -> Result<Vec<Placement>> {
    let is_own = savepoint.pipeline == pipeline;
    if !is_own && !standings.is_empty() {
        let message = format!(
            "pipeline {pipeline} has positions of its own, and savepoint {} is of pipeline {}: restore it into that one, \
             or into one that has not run yet",
            savepoint.name, savepoint.pipeline
        );
        return Err(Error::new(Kind::Request, message));
    }
    let placement = |(lane, manifest): &(Lane, Manifest)| {
        let stands = standings.iter().any(|standing| standing.lane == *lane);
        let moves = rewind || !stands;
        Placement {
            lane: lane.clone(),
            next_offset: moves.then_some(manifest.at),
            start_offset: manifest.at,
            counted: moves.then_some((manifest.records, manifest.rows, manifest.generation)),
            state: savepoint.source(lane),
            // What another pipeline has read is not in the log from this one's start on.
            needs_state: !stands,
        }
    };
    Ok(savepoint.lanes.iter().map(placement).collect())
}

fn show(lanes: &[(Lane, Manifest)]) {
    for (lane, manifest) in lanes {
        let entries: u64 = manifest.content.layers.iter().map(|layer| layer.entries).sum();
        println!("  {lane}: offset {}, {entries} entries, {}", manifest.at, size(manifest.bytes() as usize));
    }
}

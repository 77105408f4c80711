//! `weir accept-gap`: goes on without records that are gone from a topic. A task that meets such a gap fails and names
//! this command; nothing is ever passed over otherwise.

use std::path::PathBuf;

use crate::config::files;
use crate::config::pipeline::{Pipeline, Sink};
use crate::config::reference::Surroundings;
use crate::error::{Error, Kind, Result};
use crate::record::{Gap, Lane};
use crate::sink::timescale::TimescaleSink;
use crate::sink::timescale::gap::Accepted;

/// `weir accept-gap`.
#[derive(Debug, clap::Args)]
pub struct AcceptGapArgs {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,

    /// The partition that has the gap
    #[arg(value_name = "TOPIC-PARTITION")]
    pub lane: Lane,

    /// The first offset of the gap
    #[arg(long, value_name = "OFFSET")]
    pub from: i64,

    /// The first offset behind the gap, where reading goes on
    #[arg(long, value_name = "OFFSET")]
    pub to: i64,

    /// Pipeline files, or directories of them, separated by commas
    #[arg(long, value_name = "PATH,…", env = "WEIR_PIPELINES", value_delimiter = ',', default_value = "pipelines")]
    pub pipelines: Vec<PathBuf>,
}

/// Records the gap and says what became of the lane.
pub fn run(args: &AcceptGapArgs) -> anyhow::Result<()> {
    let pipeline = find(args)?;
    let Sink::Timescale(settings) = &pipeline.sink else {
        let message = format!("pipeline {} keeps no positions, so there is nothing to accept", pipeline.name);
        return Err(Error::new(Kind::Config, message).into());
    };
    let mut sink = TimescaleSink::new(&pipeline.name, "weir accept-gap", settings.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accepted = runtime.block_on(sink.accept_gap(&args.lane, &(args.from..args.to)))?;
    println!("{}", sentence(&args.lane, &accepted));
    Ok(())
}

/// The pipeline of that name among the files.
fn find(args: &AcceptGapArgs) -> Result<Pipeline> {
    let found = files::find(&args.pipelines)?;
    // What plugins think of their settings is of no interest here.
    let (pipelines, refused) = files::part(files::load(&found, &Surroundings, &|_| Vec::new()));
    if let Some(file) = refused.into_iter().find(|file| file.name() == args.pipeline) {
        return Err(file.error());
    }
    let named = pipelines.into_iter().find(|pipeline| pipeline.name == args.pipeline);
    named.ok_or_else(|| {
        let message = format!("no file of {:?} has a pipeline named {}", args.pipelines, args.pipeline);
        Error::new(Kind::Config, message)
    })
}

/// What was recorded, for the operator.
fn sentence(lane: &Lane, accepted: &Accepted) -> String {
    let told = accepted.gaps.iter().map(|gap| match gap {
        Gap { from, to, .. } if from == to => "the log is accepted as it is".to_owned(),
        Gap { from, to, counted: false } => format!("offsets {from} to {} are passed over", to - 1),
        Gap { from, to, counted: true } => format!("the state goes on without offsets {from} to {}", to - 1),
    });
    let told: Vec<String> = told.collect();
    let told = if told.is_empty() { "this gap was accepted before".to_owned() } else { told.join(", ") };
    format!("{lane}: {told}; it is read on from offset {} when its task is started again", accepted.next_offset)
}

//! `weir accept-gap`: goes on without records that are gone from a topic. A task that meets such a gap fails and names
//! this command; nothing is ever passed over otherwise.

use super::named::Named;
use crate::config::worker::WorkerArgs;
use crate::error::Result;
use crate::record::{Gap, Lane};
use crate::sink::timescale::TimescaleSink;
use crate::sink::timescale::gap::Accepted;

/// `weir accept-gap`.
#[derive(Debug, clap::Args)]
pub struct AcceptGapArgs {
    /// The pipeline's name, or its file
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

    #[command(flatten)]
    pub worker: WorkerArgs,
}

/// Records the gap and says what became of the lane.
pub fn run(args: AcceptGapArgs) -> Result<()> {
    let named = Named::find(args.worker, &args.pipeline)?;
    let (first, _) = named.log()?.ends(&args.lane)?;
    let mut sink = TimescaleSink::new(&named.pipeline.name, "weir accept-gap", named.table.clone())?;
    let accepted = named.wait(sink.accept_gap(&args.lane, first, &(args.from..args.to)))?;
    println!("{}", sentence(&args.lane, &accepted));
    Ok(())
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

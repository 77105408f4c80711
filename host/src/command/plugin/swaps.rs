//! `weir plugin swaps`, `approve`, `rollback` and `pin`: what became of the chains that were to take over in a pipeline, and
//! what is to become of them. All of it goes through the pipeline's database, so it holds for every worker, at once where
//! one runs and else when one starts.

use std::io::Write;

use anyhow::Result;
use clap::Args;

use crate::command::named::Named;
use crate::config::worker::WorkerArgs;
use crate::error::{Error, Kind};
use crate::guest::version::Range;
use crate::sink::Gazette as _;
use crate::sink::timescale::swaps::{Seen, SwapBooks};
use crate::state::{Ruling, Says};

/// Stages of a chain that speaks, or did.
const SPOKE: [&str; 3] = ["probation", "active", "cutting over"];
/// Stages of a chain that an operator can let speak.
const WAITS: [&str; 5] = ["waiting for approval", "canary", "refused", "rolled back", "parked"];

#[derive(Debug, Args)]
pub(super) struct OfPipeline {
    /// The pipeline's name, or its file
    pipeline: String,
    #[command(flatten)]
    worker: WorkerArgs,
}

#[derive(Debug, Args)]
pub(super) struct ChosenArgs {
    #[command(flatten)]
    of: OfPipeline,
    /// The plugins as `weir plugin swaps` shows them (`sma 1.1.0`), or the beginning of the generation [default: the last]
    #[arg(long, value_name = "PLUGINS|GENERATION")]
    chain: Option<String>,
    /// Why, for those who look later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct PinArgs {
    #[command(flatten)]
    of: OfPipeline,
    /// The alias of the stage in the pipeline's `transforms`
    alias: String,
    /// The version range, in place of the file's `plugin.version`: `1.0.0`, `[1.0,2.0)`
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    range: Option<String>,
    /// Take the pin away
    #[arg(long)]
    none: bool,
}

/// A pipeline's books of swaps.
struct Open {
    named: Named,
    books: SwapBooks,
}

impl OfPipeline {
    fn open(self) -> Result<Open> {
        let named = Named::find(self.worker, &self.pipeline)?;
        let books = SwapBooks::new(&named.table, &named.pipeline.name, "weir plugin")?;
        Ok(Open { named, books })
    }
}

impl Open {
    fn seen(&mut self) -> Result<Vec<Seen>> {
        Ok(self.named.wait(self.books.seen())?)
    }

    fn rulings(&mut self) -> Result<Vec<Ruling>> {
        Ok(self.named.wait(self.books.rulings())?)
    }

    /// The last chain in one of these stages, or the one that is named. Errors: [`Kind::Request`].
    fn choose(&mut self, chosen: Option<&str>, stages: &[&str]) -> Result<Seen> {
        let seen = self.seen()?;
        let is_meant = |seen: &&Seen| match chosen {
            Some(word) => seen.standing.plugins == word || seen.standing.generation.digits().starts_with(word),
            None => stages.contains(&seen.standing.stage.as_str()),
        };
        let name = &self.named.pipeline.name;
        let message = match chosen {
            Some(word) => {
                format!("no chain `{word}` was to take over in pipeline {name}; `weir plugin swaps` shows them")
            }
            None => format!("pipeline {name} has no chain that is {}", stages.join(" or ")),
        };
        let found = seen.into_iter().rev().find(|seen| is_meant(&seen));
        found.ok_or_else(|| Error::new(Kind::Request, message).into())
    }

    /// Writes the same ruling about everything that is new in a chain.
    fn rule(&mut self, seen: &Seen, says: Says, detail: &str) -> Result<()> {
        let ruling = |subject: &String| Ruling { subject: subject.clone(), says, detail: detail.to_owned() };
        let rulings: Vec<Ruling> = seen.standing.subjects.iter().map(ruling).collect();
        Ok(self.named.wait(self.books.rule(&rulings))?)
    }
}

pub(super) fn swaps(args: OfPipeline, out: &mut dyn Write) -> Result<()> {
    let mut open = args.open()?;
    let seen = open.seen()?;
    if seen.is_empty() {
        writeln!(out, "no chain was to take over in pipeline {}", open.named.pipeline.name)?;
    }
    for Seen { worker, at, standing } in &seen {
        let (stage, plugins, generation) = (&standing.stage, &standing.plugins, standing.generation);
        writeln!(out, "{at}  {stage:<20}  {plugins:<24}  generation {generation}  worker {worker}")?;
        if !standing.detail.is_empty() {
            writeln!(out, "    {}", standing.detail)?;
        }
    }
    for Ruling { subject, says, detail } in open.rulings()? {
        let (said, subject) = (says.name(), subject.get(..12).unwrap_or(&subject));
        writeln!(out, "{said:<9} {subject}: {detail}")?;
    }
    Ok(())
}

pub(super) fn approve(args: ChosenArgs, out: &mut dyn Write) -> Result<()> {
    let mut open = args.of.open()?;
    let seen = open.choose(args.chain.as_deref(), &WAITS)?;
    open.rule(&seen, Says::Approved, &args.reason.unwrap_or_else(|| "by an operator".to_owned()))?;
    writeln!(out, "{} may speak in pipeline {}", seen.standing.plugins, open.named.pipeline.name)?;
    Ok(())
}

pub(super) fn rollback(args: ChosenArgs, out: &mut dyn Write) -> Result<()> {
    let mut open = args.of.open()?;
    let seen = open.choose(args.chain.as_deref(), &SPOKE)?;
    let why = args.reason.map_or_else(|| "taken back by an operator".to_owned(), |why| format!("taken back: {why}"));
    open.rule(&seen, Says::Refused, &why)?;
    let (plugins, name) = (&seen.standing.plugins, &open.named.pipeline.name);
    writeln!(out, "{plugins} is not to speak in pipeline {name}; what spoke before it takes over again")?;
    Ok(())
}

pub(super) fn pin(args: PinArgs, out: &mut dyn Write) -> Result<()> {
    let mut open = args.of.open()?;
    let (alias, name) = (args.alias, open.named.pipeline.name.clone());
    if !open.named.pipeline.transforms.iter().any(|stage| stage.alias == alias) {
        let message = format!("pipeline {name} has no stage `{alias}` in its `transforms`");
        return Err(Error::new(Kind::Request, message).into());
    }
    let Some(range) = args.range else {
        let revoked = open.named.wait(open.books.revoke(&alias))?;
        let told = if revoked { "is not pinned any more" } else { "was not pinned" };
        writeln!(out, "{alias} of pipeline {name} {told}")?;
        return Ok(());
    };
    Range::parse(&range).map_err(|what| Error::new(Kind::Config, what))?;
    let ruling = Ruling { subject: alias.clone(), says: Says::Pinned, detail: range.clone() };
    open.named.wait(open.books.rule(&[ruling]))?;
    writeln!(out, "{alias} of pipeline {name} is pinned to {range}")?;
    Ok(())
}

//! The broker is killed, stays away, or the network to it fails: the worker goes on by itself, no offset is reset, and
//! nothing is lost or doubled.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_tests::broker::Broker;
use weir_tests::db::Db;
use weir_tests::eventually::reached;
use weir_tests::link::Link;
use weir_tests::worker::Worker;

use super::{Stream, price, waits_for, waits_no_more};

/// The client takes a connection for lost on which an answer does not come for so long.
const GIVEN_UP: &str = "consumer.override.socket.timeout.ms: 3000\n";
/// What the status says of a broker that is not there.
const AWAY: &str = "no broker of";

/// A stream whose worker reaches the broker by its link, and has begun.
async fn begin(broker: &Broker, hint: &str) -> Result<(Stream, Worker)> {
    let mut stream = Stream::between(broker.kafka(), Db::postgres(hint).await?, hint, 2).await?;
    let plan = stream.plan(&stream.db.url(), GIVEN_UP)?.flag("--bootstrap-servers", broker.link().authority());
    let worker = plan.start()?;
    stream.send(10)?;
    stream.arrived(&worker).await?;
    Ok((stream, worker))
}

async fn finish(stream: &Stream, worker: Worker) -> Result<()> {
    worker.tasks_are(&stream.name, "RUNNING").await?;
    worker.stop().await?;
    stream.check(0).await
}

/// Kills the broker at random places of a stream.
async fn kill(rounds: usize) -> Result<()> {
    let mut broker = Broker::start().await?;
    let (mut stream, worker) = begin(&broker, "broker_killed").await?;
    for _ in 0..rounds {
        // The worker is at work on these when the broker goes; the last ones wait in the producer.
        stream.send(3_000)?;
        broker.kill()?;
        stream.queue(20, price)?;
        broker.serve().await?;
        stream.producer.flush()?;
        stream.arrived(&worker).await?;
    }
    finish(&stream, worker).await
}

/// Lets the broker stay away: that is told, costs next to nothing, and is told no longer once it is back, although no
/// record comes.
async fn stay_away(lasting: Duration) -> Result<()> {
    let mut broker = Broker::start().await?;
    let (mut stream, worker) = begin(&broker, "broker_away").await?;
    broker.kill()?;
    waits_for(&worker, &stream, AWAY).await?;
    let before = worker.cpu()?;
    reached(Instant::now() + lasting).await;
    let busy = worker.cpu()?.saturating_sub(before);
    ensure!(busy < lasting / 4, "{busy:?} of work while there is nothing to do for {lasting:?}");
    broker.serve().await?;
    waits_no_more(&worker, &stream).await?;
    stream.send(100)?;
    stream.arrived(&worker).await?;
    finish(&stream, worker).await
}

/// What befalls the network.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Everything is late, in both directions.
    Late(Duration),
    /// Connections are cut again and again.
    Cut,
    /// Whatever is sent is lost, and nobody is told.
    Silent,
}

impl Trouble {
    async fn begin(self, link: &Link, lasting: Duration) {
        let over = Instant::now() + lasting;
        match self {
            Trouble::Late(by) => link.delay(by),
            Trouble::Silent => link.silence(true),
            Trouble::Cut => {
                while Instant::now() < over {
                    link.cut();
                    reached(over.min(Instant::now() + Duration::from_millis(150))).await;
                }
            }
        }
        reached(over).await;
    }

    fn end(link: &Link) {
        link.delay(Duration::ZERO);
        link.silence(false);
    }
}

/// Lets each trouble last for so long while records stream.
async fn go_through(delay: Duration, lasting: Duration) -> Result<()> {
    let broker = Broker::start().await?;
    let (mut stream, worker) = begin(&broker, "broker_far").await?;
    for trouble in [Trouble::Late(delay), Trouble::Cut, Trouble::Silent] {
        println!("{trouble:?}");
        stream.send(2_000)?;
        trouble.begin(broker.link(), lasting).await;
        stream.send(100)?;
        match trouble {
            // What is late arrives all the same.
            Trouble::Late(_) => stream.arrived(&worker).await?,
            Trouble::Silent => waits_for(&worker, &stream, AWAY).await?,
            Trouble::Cut => {}
        }
        Trouble::end(broker.link());
        stream.arrived(&worker).await?;
        waits_no_more(&worker, &stream).await?;
    }
    finish(&stream, worker).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_costs_no_record_and_no_offset() -> Result<()> {
    kill(2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stays_away_is_waited_for_at_rest() -> Result<()> {
    stay_away(Duration::from_secs(3)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_slow_cut_or_silent_loses_and_doubles_nothing() -> Result<()> {
    go_through(Duration::from_millis(300), Duration::from_secs(3)).await
}

mod long {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn kill_after_kill_of_the_broker_costs_no_record_and_no_offset() -> Result<()> {
        kill(15).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_that_stays_away_for_ten_minutes_is_waited_for_at_rest() -> Result<()> {
        stay_away(Duration::from_secs(600)).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_network_that_fails_for_a_minute_each_loses_and_doubles_nothing() -> Result<()> {
        go_through(Duration::from_secs(1), Duration::from_secs(61)).await
    }
}

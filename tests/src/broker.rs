//! A Kafka broker of a test's own, for tests that kill it, and for those that have the network to it fail.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::environment::{directory, repository};
use crate::eventually::eventually;
use crate::kafka::Kafka;
use crate::link::Link;
use crate::worker::free_ports;

/// Longest wait for the broker to serve; it may have a kill to recover from.
const WAIT: Duration = Duration::from_secs(60);

/// One node; it ends with the value.
#[derive(Debug)]
pub struct Broker {
    folder: PathBuf,
    /// Of the test's clients, of the controller, and behind the link.
    ports: [u16; 3],
    link: Link,
    process: Option<Child>,
}

impl Broker {
    /// Makes a data folder and serves from it.
    ///
    /// # Errors
    /// When `tests/run` has fetched no broker, or it does not start.
    pub async fn start() -> Result<Self> {
        let ports = free_ports()?;
        let link = Link::to(&at(ports[2])).await?;
        let mut broker = Self { folder: directory("broker")?, ports, link, process: None };
        broker.serve().await?;
        Ok(broker)
    }

    /// The way to it for the test itself, which nothing befalls.
    pub fn kafka(&self) -> Kafka {
        Kafka::at(&at(self.ports[0]))
    }

    /// The way to it for a worker: by this link all of its connections go.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Starts it, and waits until it answers.
    pub async fn serve(&mut self) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("broker.log"))?;
        let (_, advertised) = self.link.authority().rsplit_once(':').context("a port of the link")?;
        let mut command = Command::new(repository().join("tests/testbed/broker"));
        command.arg(&self.folder).args(self.ports.map(|port| port.to_string())).arg(advertised);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("start a Kafka broker")?);
        let kafka = self.kafka();
        eventually("a Kafka broker of the test's own", WAIT, async || kafka.answers()).await
    }

    /// Kills it at once.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the broker is down already")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.process.is_some() {
            // It fails only when the broker has ended by itself.
            self.kill().unwrap_or_default();
        }
    }
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

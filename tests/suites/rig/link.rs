//! A link passes bytes as they are, late, or not at all, as it is told.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_tests::door::Door;
use weir_tests::link::Link;

const LATE: Duration = Duration::from_millis(100);
/// Nothing comes, if it has not come after so long.
const NOTHING: Duration = Duration::from_millis(200);

/// A server that sends back what it gets, and a link to it.
async fn echo() -> Result<(Door, Link)> {
    let server = Door::open(|mut client: TcpStream| async move {
        let (mut from, mut to) = client.split();
        tokio::io::copy(&mut from, &mut to).await?;
        Ok(())
    })
    .await?;
    let link = Link::to(server.authority()).await?;
    Ok((server, link))
}

async fn through(link: &Link) -> Result<TcpStream> {
    Ok(TcpStream::connect(link.authority()).await?)
}

/// Sends it there and waits for it to come back.
async fn there_and_back(client: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    let (mut from, mut to) = client.split();
    let mut back = vec![0; bytes.len()];
    tokio::try_join!(to.write_all(bytes), from.read_exact(&mut back))?;
    ensure!(back == bytes, "other bytes came back");
    Ok(())
}

#[tokio::test]
async fn what_passes_a_link_is_what_was_sent_and_as_late_as_it_says() -> Result<()> {
    let (_server, link) = echo().await?;
    let mut client = through(&link).await?;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    there_and_back(&mut client, &bytes).await?;
    link.delay(LATE);
    let begun = Instant::now();
    there_and_back(&mut client, &bytes[..10]).await?;
    assert!(begun.elapsed() >= 2 * LATE, "there and back, each late");
    Ok(())
}

#[tokio::test]
async fn a_silent_link_loses_everything_and_ends_nothing() -> Result<()> {
    let (_server, link) = echo().await?;
    let mut client = through(&link).await?;
    there_and_back(&mut client, b"before").await?;
    link.silence(true);
    assert!(timeout(NOTHING, there_and_back(&mut client, b"lost")).await.is_err());
    link.silence(false);
    assert!(timeout(NOTHING, there_and_back(&mut client, b"after")).await.is_err(), "it has lost something");
    there_and_back(&mut through(&link).await?, b"another connection").await
}

#[tokio::test]
async fn a_cut_ends_the_connections_of_its_moment() -> Result<()> {
    let (_server, link) = echo().await?;
    let mut client = through(&link).await?;
    there_and_back(&mut client, b"before").await?;
    link.cut();
    assert!(there_and_back(&mut client, b"after").await.is_err());
    there_and_back(&mut through(&link).await?, b"another connection").await
}

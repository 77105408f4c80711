//! Reading tables back: what the demo and the benches check their rows with.

use futures_util::{StreamExt as _, pin_mut};

use super::connect::Connector;
use super::failure;
use crate::config::pipeline::Timescale;
use crate::error::{Error, Kind, Result};

/// Streams the rows of a query, each as one line of tab-separated texts (`\N` = NULL; COPY's text format).
pub async fn lines(settings: &Timescale, query: &str, mut line: impl FnMut(&str)) -> Result<()> {
    let connection = Connector::new(settings, "weir/read")?.open().await?;
    let statement = format!("COPY ({query}) TO STDOUT");
    let failed = |e: tokio_postgres::Error| failure::error("read the table", &e);
    let stream = connection.client.copy_out(statement.as_str()).await.map_err(failed)?;
    pin_mut!(stream);
    // A chunk may end within a row.
    let mut rest = Vec::new();
    while let Some(chunk) = stream.next().await {
        rest.extend_from_slice(&chunk.map_err(failed)?);
        let Some(end) = rest.iter().rposition(|&byte| byte == b'\n') else { continue };
        let whole: Vec<u8> = rest.drain(..=end).collect();
        let text = std::str::from_utf8(&whole).map_err(|e| Error::caused(Kind::Internal, "read the table", e))?;
        text.lines().for_each(&mut line);
    }
    Ok(())
}

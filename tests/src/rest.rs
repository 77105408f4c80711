//! A client for GET requests to a worker. Small on purpose: what it sends and reads is plain HTTP/1.1, close after one.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer of the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Header lines as sent, without the status line.
    pub headers: Vec<String>,
    /// The whole body.
    pub body: String,
}

impl Response {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON; the error shows the body.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("read as JSON: {}", self.body))
    }
}

/// GET `path` from the server at `address` (`HOST:PORT`).
///
/// # Errors
/// When the server cannot be reached or its answer is not HTTP/1.1 with a plain body.
pub async fn get(address: &str, path: &str) -> Result<Response> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    parse(&String::from_utf8(bytes)?).with_context(|| format!("GET {path}"))
}

fn parse(text: &str) -> Result<Response> {
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let Some(status) = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)) else {
        bail!("not an HTTP/1.1 answer: {first}");
    };
    let headers: Vec<String> = lines.map(str::to_owned).collect();
    ensure!(
        !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding")),
        "the answer comes in chunks, which this client does not read"
    );
    Ok(Response { status: status.parse()?, headers, body: body.to_owned() })
}

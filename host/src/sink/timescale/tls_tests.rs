//! Handshakes in memory: which server each `sslmode` accepts. The certificates of `testdata` were made for this test:
//! a root, another root, and a server `db.example` under the first; they hold for a hundred years.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::PathBuf;

use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::super::url;
use super::*;

fn testdata(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sink/timescale/testdata").join(file)
}

/// The settings of a URL whose `sslrootcert` is a file of `testdata`, where one is named.
fn client(mode: &str, root: Option<&str>) -> Result<ClientConfig> {
    let root = root.map(|file| format!("&sslrootcert={}", testdata(file).display()));
    let url = format!("postgres://db.example/m?sslmode={mode}{}", root.unwrap_or_default());
    client_config(&url::parse(&url)?)
}

fn server() -> ServerConfig {
    let chain = certificates(&testdata("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(testdata("server-key.pem")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// What the client makes of the server's certificate when it asks for `host`.
fn handshake(mode: &str, root: Option<&str>, host: &'static str) -> Result<(), rustls::Error> {
    let config = Arc::new(client(mode, root).unwrap());
    let name = ServerName::try_from(host).unwrap();
    let mut client = ClientConnection::new(config, name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server())).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut flight = Vec::new();
        client.write_tls(&mut flight).unwrap();
        server.read_tls(&mut flight.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut flight = Vec::new();
        server.write_tls(&mut flight).unwrap();
        client.read_tls(&mut flight.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn each_mode_accepts_the_servers_that_it_should() {
    let right = Some("root.pem");
    let accepted = [
        ("prefer", None, "elsewhere.example"),
        ("require", None, "elsewhere.example"),
        ("require", right, "elsewhere.example"),
        ("verify-ca", right, "elsewhere.example"),
        ("verify-full", right, "db.example"),
    ];
    for (mode, root, host) in accepted {
        assert_eq!(handshake(mode, root, host), Ok(()), "{mode} {root:?} {host}");
    }
}

#[test]
fn an_untrusted_root_is_refused() {
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = handshake(mode, Some("other-root.pem"), "db.example");
        let expected = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(refused, Err(expected), "{mode}");
    }
}

#[test]
fn another_name_is_refused_where_names_are_verified() {
    let refused = handshake("verify-full", Some("root.pem"), "elsewhere.example");
    let sentence = refused.unwrap_err().to_string();
    assert!(sentence.contains("not valid for name \"elsewhere.example\""), "{sentence}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let absent = testdata("absent.pem").display().to_string();
    let error = client("verify-ca", Some("absent.pem")).unwrap_err();
    assert_eq!(error.kind(), Kind::DatabaseDenied);
    let sentence = format!("the file {absent} of connection.url cannot be used: ");
    assert!(error.to_string().starts_with(&sentence), "{error}");
    let key = testdata("server-key.pem").display().to_string();
    assert_eq!(
        client("verify-ca", Some("server-key.pem")).unwrap_err().to_string(),
        format!("the file {key} of connection.url holds no certificate in PEM form")
    );
}

//! Both forms of `connection.url`, every setting in it, and what is wrong with one.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
use std::path::Path;

use tokio_postgres::config::Host;

use super::*;

fn tcp(hosts: &[&str]) -> Vec<Host> {
    hosts.iter().map(|host| Host::Tcp((*host).to_owned())).collect()
}

#[test]
fn both_forms_lead_to_the_same_place() {
    for url in [
        "postgres://writer@db1:6432,db2:6432/metrics?connect_timeout=3",
        "postgresql://db1:6432,db2:6432/metrics?user=writer&connect_timeout=3",
        "jdbc:postgresql://db1:6432,db2:6432/metrics?user=writer&loginTimeout=3&reWriteBatchedInserts=true",
    ] {
        let config = parse(url).unwrap().config;
        assert_eq!(config.get_hosts(), tcp(&["db1", "db2"]), "{url}");
        assert_eq!(config.get_ports(), [6432, 6432], "{url}");
        assert_eq!(config.get_user(), Some("writer"), "{url}");
        assert_eq!(config.get_dbname(), Some("metrics"), "{url}");
        assert_eq!(config.get_connect_timeout().map(std::time::Duration::as_secs), Some(3), "{url}");
    }
}

#[test]
fn the_host_may_be_left_out_or_a_socket_folder() {
    assert_eq!(parse("postgres:///metrics").unwrap().config.get_hosts(), tcp(&["localhost"]));
    let socket = parse("postgres:///metrics?host=/run/postgresql").unwrap();
    assert_eq!(socket.config.get_hosts(), [Host::Unix("/run/postgresql".into())]);
}

#[test]
fn every_sslmode_has_its_meaning() {
    let table = [
        ("", SslMode::Prefer, Verify::Nothing),
        ("sslmode=disable", SslMode::Disable, Verify::Nothing),
        ("sslmode=prefer", SslMode::Prefer, Verify::Nothing),
        ("sslmode=require", SslMode::Require, Verify::Nothing),
        ("sslmode=require&sslrootcert=/ca.pem", SslMode::Require, Verify::Chain),
        ("sslmode=verify-ca", SslMode::Require, Verify::Chain),
        ("sslmode=verify-full", SslMode::Require, Verify::ChainAndName),
    ];
    for (query, mode, verify) in table {
        let address = parse(&format!("postgres://db/metrics?{query}")).unwrap();
        assert_eq!((address.config.get_ssl_mode(), address.verify), (mode, verify), "{query}");
    }
    let jdbc = parse("jdbc:postgresql://db/metrics?ssl=true").unwrap();
    assert_eq!((jdbc.config.get_ssl_mode(), jdbc.verify), (SslMode::Require, Verify::ChainAndName));
}

#[test]
fn certificates_are_paths() {
    let url = "postgres://db/m?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem&sslcert=/c.pem&sslkey=/k.pem";
    let address = parse(url).unwrap();
    assert_eq!(address.root_certificate.as_deref(), Some(Path::new("/etc/my ca.pem")));
    assert_eq!(address.client_certificate, Some(("/c.pem".into(), "/k.pem".into())));
    let system = parse("postgres://db/m?sslmode=verify-full&sslrootcert=system").unwrap();
    assert_eq!(system.root_certificate, None);
}

#[test]
fn the_schema_of_a_jdbc_url_is_searched() {
    let config = parse("jdbc:postgresql://db/m?currentSchema=metrics").unwrap().config;
    assert_eq!(config.get_options(), Some("-csearch_path=metrics"));
}

#[test]
fn errors_name_the_part_at_fault() {
    let table = [
        (
            "mysql://db/m",
            "it begins with neither postgres:// nor jdbc:postgresql://, as in postgres://user@host:5432/database",
        ),
        (
            "postgres://db/m?sslmode=maybe",
            "sslmode=maybe is none of disable, prefer, require, verify-ca and verify-full",
        ),
        ("postgres://db/m?reWriteBatchedInserts=true", "it has the unknown parameter reWriteBatchedInserts=true"),
        ("postgres://db/m?sslcert=/c.pem", "sslcert and sslkey are only of use together"),
        ("postgres://db/m?sslrootcert=%zz", "%zz has a % that is not followed by two hexadecimal digits"),
    ];
    for (url, why) in table {
        let error = parse(url).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.to_string(), format!("connection.url cannot be read: {why}"));
    }
    let port = parse("postgres://u:secret@db:port/m").unwrap_err().to_string();
    assert_eq!(port, "connection.url cannot be read: invalid connection string: invalid value for option `port`");
}

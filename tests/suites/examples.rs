//! The examples do what their pages say, with small counts.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use weir_tests::db::Db;
use weir_tests::environment::{BROKERS, directory, repository, variable};
use weir_tests::worker::Plan;

/// Runs an example; returns its standard output.
fn run(example: &str, flags: &[&str]) -> Result<String> {
    let command = repository().join("examples").join(example).join("run");
    let mut started = Command::new(&command);
    // What cargo tells a test about its package would make the example's build differ from everyone else's: build
    // scripts of dependencies look at it, and all that rests on them would be compiled again, and again afterwards.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_LINKS", "OUT_DIR"] {
        started.env_remove(name);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        started.env_remove(name);
    }
    let ended = started.args(flags).output().with_context(|| format!("start {}", command.display()))?;
    let (output, complaints) = (String::from_utf8(ended.stdout)?, String::from_utf8_lossy(&ended.stderr).into_owned());
    anyhow::ensure!(ended.status.success(), "{example} ended with {}:\n{output}\n{complaints}", ended.status);
    Ok(output)
}

fn last_line(output: &str) -> &str {
    output.lines().next_back().unwrap_or_default()
}

#[test]
fn quickstart_verifies_what_it_streamed() -> Result<()> {
    let output = run("quickstart", &["--records", "20000"])?;
    assert_eq!(last_line(&output), "verified: 20000 rows, 0 missing, 0 duplicated, 0 wrong");
    Ok(())
}

#[tokio::test]
async fn quickstart_takes_servers_of_ones_own() -> Result<()> {
    let (brokers, db) = (variable(BROKERS)?, Db::postgres("quickstart").await?);
    let output = run("quickstart", &["--records", "20000", "--brokers", &brokers, "--database-url", &db.url()])?;
    assert_eq!(last_line(&output), "verified: 20000 rows, 0 missing, 0 duplicated, 0 wrong");
    let table = db.value("SELECT tablename FROM pg_tables WHERE tablename LIKE 'ticks_sma%'").await?;
    assert_eq!(db.count(&table).await?, 20_000, "the table stays");
    Ok(())
}

#[test]
fn stocks_end_with_the_rows_that_were_expected() -> Result<()> {
    let output = run("stocks", &[])?;
    assert_eq!(last_line(&output), "verified: 5105 rows, 0 missing, 0 duplicated, 0 wrong");
    Ok(())
}

#[test]
fn a_plugin_is_replaced_while_ticks_stream() -> Result<()> {
    let output = run("hot-swap", &["--records", "400000"])?;
    assert_eq!(last_line(&output), "verified: 400000 rows, 0 missing, 0 duplicated, 0 wrong");
    for told in ["sma 1.1.0: active: pause ", "sma 2.0.0: refused: it does not take the state"] {
        anyhow::ensure!(output.contains(told), "{told} is not in\n{output}");
    }
    Ok(())
}

#[tokio::test]
async fn the_pipeline_of_the_readme_is_valid() -> Result<()> {
    let readme = fs::read_to_string(repository().join("README.md"))?;
    let (_, block) = readme.split_once("```yaml\n").context("README shows no pipeline")?;
    let (pipeline, _) = block.split_once("```").context("README's pipeline has no end")?;
    let file = directory("readme")?.join("ticks-sma.yaml");
    fs::write(&file, pipeline)?;
    let check = Plan::verb(&["check", &file.display().to_string()])?.variable("DB_PASSWORD", "x");
    let checked = check.finish(Duration::from_secs(60)).await?;
    assert!(checked.status.success(), "{}\n{}", checked.output.tail(20), checked.logs.tail(20));
    Ok(())
}

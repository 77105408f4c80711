//! The `weir` schema: made by itself, used as found, refused when it is too new, explained when it may not be made.

use anyhow::Result;
use weir::error::Kind as ErrorKind;
use weir::record::Lane;
use weir_tests::db::Db;

use super::{claim, settings, sink};

/// A role of the test's own, with no rights beyond those of everyone.
async fn role(db: &Db) -> Result<String> {
    let name = format!("role_{}", db.address().database);
    db.batch_execute(&format!("CREATE ROLE {name} LOGIN")).await?;
    Ok(name)
}

#[tokio::test]
async fn it_is_made_once_by_whoever_comes_first() -> Result<()> {
    let db = Db::postgres("schema").await?;
    let lane = Lane::new("ticks", 0);
    let claims = (0..4).map(|worker| {
        let mut sink = sink(settings(&db), &format!("worker-{worker}"));
        let lane = lane.clone();
        async move { claim(&mut sink, &lane, 0).await.map(|claim| claim.epoch) }
    });
    let mut epochs = Vec::new();
    for claimed in futures_util::future::join_all(claims).await {
        epochs.push(claimed?);
    }
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2, 3, 4]);
    assert_eq!(db.rows("SELECT version, min_reader FROM weir.meta").await?.concat().len(), 2);
    let options = "SELECT reloptions::text FROM pg_class WHERE oid = 'weir.position'::regclass";
    assert!(db.value(options).await?.contains("fillfactor=50"), "updates of positions stay heap-only");
    Ok(())
}

#[tokio::test]
async fn its_name_may_be_any() -> Result<()> {
    let db = Db::postgres("schema_name").await?;
    let mut named = settings(&db);
    named.schema = "it's \"weir\"".to_owned();
    claim(&mut sink(named, "first"), &Lane::new("ticks", 0), 5).await?;
    assert_eq!(db.number("SELECT next_offset FROM \"it's \"\"weir\"\"\".position").await?, 5);
    Ok(())
}

#[tokio::test]
async fn a_newer_one_is_left_alone() -> Result<()> {
    let db = Db::postgres("schema_newer").await?;
    let lane = Lane::new("ticks", 0);
    claim(&mut sink(settings(&db), "first"), &lane, 0).await?;
    db.batch_execute("UPDATE weir.meta SET version = 9, min_reader = 1").await?;
    claim(&mut sink(settings(&db), "old but able"), &lane, 0).await?;
    db.batch_execute("UPDATE weir.meta SET min_reader = 8").await?;
    let error = claim(&mut sink(settings(&db), "too old"), &lane, 0).await.expect_err("it is closed");
    assert_eq!(
        error.to_string(),
        "schema \"weir\" has version 9, which needs a weir that knows version 8, but this one knows up to 6"
    );
    assert_eq!(db.number("SELECT version FROM weir.meta").await?, 9);
    Ok(())
}

#[tokio::test]
async fn without_the_right_to_make_it_the_error_shows_the_sql_and_the_sql_helps() -> Result<()> {
    let db = Db::postgres("schema_rights").await?;
    let role = role(&db).await?;
    let mut limited = settings(&db);
    limited.user = Some(role.clone());
    let lane = Lane::new("ticks", 0);
    let error = claim(&mut sink(limited.clone(), "first"), &lane, 0).await.expect_err("it may not");
    let error = error.downcast_ref::<weir::error::Error>().expect("an error of the sink");
    assert_eq!(error.kind(), ErrorKind::DatabaseRights);
    let (sentence, sql) = error.to_string().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(
        sentence,
        format!(
            "create schema \"weir\": permission denied for database {} (SQLSTATE 42501); run this as a user who may:",
            db.address().database
        )
    );
    db.batch_execute(&sql).await?;
    let claimed = claim(&mut sink(limited, "first"), &lane, 3).await?;
    assert_eq!((claimed.epoch, claimed.next_offset), (1, 3));
    Ok(())
}

#[tokio::test]
async fn a_schema_that_is_there_is_filled() -> Result<()> {
    let db = Db::postgres("schema_empty").await?;
    let role = role(&db).await?;
    db.batch_execute(&format!("CREATE SCHEMA weir AUTHORIZATION {role}")).await?;
    let mut limited = settings(&db);
    limited.user = Some(role);
    let claimed = claim(&mut sink(limited, "first"), &Lane::new("ticks", 0), 0).await?;
    assert_eq!(claimed.epoch, 1);
    Ok(())
}

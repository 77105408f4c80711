//! Rows that the database refuses: each is named by its line, or found, and nothing of its flush is written.

use anyhow::Result;
use weir::error::Kind as ErrorKind;
use weir::record::{Lane, Segment};
use weir::sink::{Refusal, Sink as _, WriteError};

use super::{Ticks, claim, flush};

/// What makes the row with the symbol `bad` one that the database refuses, set up after the columns were bound.
struct Case {
    sqlstate: &'static str,
    sql: &'static str,
    message: &'static str,
    column: Option<&'static str>,
}

const NAMED: &[Case] = &[
    Case {
        sqlstate: "23502",
        sql: "CREATE FUNCTION blank() RETURNS trigger LANGUAGE plpgsql AS
              'BEGIN IF NEW.symbol = ''bad'' THEN NEW.symbol = NULL; END IF; RETURN NEW; END';
              CREATE TRIGGER blank BEFORE INSERT ON ticks FOR EACH ROW EXECUTE FUNCTION blank();
              ALTER TABLE ticks ALTER symbol SET NOT NULL",
        message: "null value in column \"symbol\" of relation \"ticks\" violates not-null constraint; Failing row \
                  contains (null, 2)",
        column: Some("symbol"),
    },
    Case {
        sqlstate: "22001",
        sql: "ALTER TABLE ticks ALTER symbol TYPE varchar(2)",
        message: "value too long for type character varying(2)",
        column: Some("symbol"),
    },
    Case {
        sqlstate: "23514",
        sql: "ALTER TABLE ticks ADD CONSTRAINT not_bad CHECK (symbol <> 'bad')",
        message: "new row for relation \"ticks\" violates check constraint \"not_bad\"; Failing row contains (bad, 2)",
        column: None,
    },
    Case {
        sqlstate: "23505",
        sql: "INSERT INTO ticks VALUES ('bad'); CREATE UNIQUE INDEX once ON ticks (symbol)",
        message: "duplicate key value violates unique constraint \"once\"; Key (symbol)=(bad) already exists",
        column: None,
    },
    Case {
        sqlstate: "22P02",
        sql: "CREATE TYPE public.side AS ENUM ('a', 'b', 'c', 'd');
              ALTER TABLE ticks ALTER symbol TYPE public.side USING symbol::public.side",
        message: "invalid input value for enum side: \"bad\"",
        column: Some("symbol"),
    },
];

/// Constraints that are checked behind the rows, or at COMMIT: the database names no line.
const FOUND: &[Case] = &[
    Case {
        sqlstate: "23503",
        sql: "CREATE TABLE public.symbols (symbol text PRIMARY KEY); INSERT INTO public.symbols VALUES ('a'), ('b'), ('c'), ('d');
              ALTER TABLE ticks ADD FOREIGN KEY (symbol) REFERENCES public.symbols",
        message: "insert or update on table \"ticks\" violates foreign key constraint \"ticks_symbol_fkey\"; Key \
                  (symbol)=(bad) is not present in table \"symbols\"",
        column: None,
    },
    Case {
        sqlstate: "23505",
        sql: "INSERT INTO ticks VALUES ('bad');
              ALTER TABLE ticks ADD CONSTRAINT once UNIQUE (symbol) DEFERRABLE INITIALLY DEFERRED",
        message: "duplicate key value violates unique constraint \"once\"; Key (symbol)=(bad) already exists",
        column: None,
    },
];

/// Writes two segments with the bad row in the second; takes its record out; writes the rest.
async fn run(case: &Case) -> Result<()> {
    let mut ticks = Ticks::start("refused").await?;
    let other = Lane::new("ticks", 1);
    let claims = [ticks.claim.clone(), claim(&mut ticks.sink, &other, 10).await?];
    ticks.db.batch_execute(case.sql).await?;
    let before = ticks.db.count("ticks").await?;
    let mut flush = flush([ticks.segment(0, &["a", "b"]), ticks.segment_of(&other, 10, &["c", "d", "bad"])]);

    let outcome = ticks.sink.write(&flush, &claims).await;
    let expected = Refusal {
        segment: 1,
        line: Some(2),
        column: case.column.map(str::to_owned),
        sqlstate: case.sqlstate.to_owned(),
        message: case.message.to_owned(),
    };
    assert!(matches!(&outcome, Err(WriteError::Refused(r)) if *r == expected), "{outcome:#?}\n{expected:#?}");
    assert_eq!(ticks.db.count("ticks").await?, before, "nothing of the flush is there");

    ticks.sink.withdraw(&mut flush.segments[1], 12);
    ticks.sink.write(&flush, &claims).await.expect("the flush without the record");
    assert_eq!(ticks.db.count("ticks").await?, before + 4);
    let next = ticks.db.number("SELECT next_offset FROM weir.position WHERE partition = 1").await?;
    assert_eq!(next, 13, "the lane moves past the record that became no row");
    Ok(())
}

#[tokio::test]
async fn the_line_that_the_database_names_is_the_row() -> Result<()> {
    for case in NAMED {
        run(case).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_row_that_the_database_does_not_name_is_found() -> Result<()> {
    for case in FOUND {
        run(case).await?;
    }
    Ok(())
}

/// Overwrites the bytes of the only text `bad` in a segment.
fn spoil(segment: &mut Segment, with: [u8; 3]) {
    let at = segment.data.windows(3).position(|bytes| bytes == b"bad").expect("a row with the text");
    segment.data[at..at + 3].copy_from_slice(&with);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_named() -> Result<()> {
    for (bytes, sentence) in [
        (b"b\xffd", "invalid byte sequence for encoding \"UTF8\": 0xff"),
        (b"b\0d", "invalid byte sequence for encoding \"UTF8\": 0x00"),
    ] {
        let mut ticks = Ticks::start("encoding").await?;
        let mut segment = ticks.segment(0, &["a", "bad", "c"]);
        spoil(&mut segment, *bytes);
        let outcome = ticks.write(segment).await;
        let Err(WriteError::Refused(refusal)) = &outcome else { panic!("{outcome:?}") };
        assert_eq!((refusal.line, refusal.sqlstate.as_str()), (Some(1), "22021"));
        assert_eq!((refusal.column.as_deref(), refusal.message.as_str()), (Some("symbol"), sentence));
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_among_many_rows_is_found_in_any_place() -> Result<()> {
    const ROWS: usize = 300;
    let mut ticks = Ticks::start("many").await?;
    ticks.db.batch_execute(FOUND[0].sql).await?;
    for bad in [0, 1, 149, 150, ROWS - 1] {
        let symbols: Vec<&str> = (0..ROWS).map(|row| if row >= bad { "bad" } else { "a" }).collect();
        let segment = ticks.segment(0, &symbols);
        let outcome = ticks.write(segment).await;
        assert!(matches!(&outcome, Err(WriteError::Refused(r)) if r.line == Some(bad)), "{bad}: {outcome:?}");
    }
    assert_eq!(ticks.db.count("ticks").await?, 0, "looking for the row writes nothing");
    Ok(())
}

#[tokio::test]
async fn a_table_that_changed_is_not_the_row_s_fault() -> Result<()> {
    let cases = [
        ("ALTER TABLE ticks ALTER price TYPE float4", ErrorKind::TableMismatch, "table public.ticks"),
        ("ALTER TABLE ticks DROP COLUMN price", ErrorKind::TableMismatch, "column \"price\""),
        ("DROP TABLE ticks", ErrorKind::TableMissing, "relation \"public.ticks\" does not exist"),
        (
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''closed''; END';
             CREATE TRIGGER no BEFORE INSERT ON ticks FOR EACH ROW EXECUTE FUNCTION no()",
            ErrorKind::TableMismatch,
            "copy rows to table public.ticks: closed (SQLSTATE P0001)",
        ),
    ];
    for (sql, kind, part) in cases {
        let mut ticks = Ticks::start("changed").await?;
        ticks.db.batch_execute(sql).await?;
        let segment = ticks.segment(0, &["a", "b"]);
        let outcome = ticks.write(segment).await;
        let Err(WriteError::Failed(error)) = &outcome else { panic!("{sql}: {outcome:?}") };
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.to_string().contains(part), "{sql}: {error}");
        assert_eq!(ticks.next_offset().await?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_search_for_the_row_that_cannot_be_finished_is_no_refusal() -> Result<()> {
    let mut ticks = Ticks::start("interrupted").await?;
    let sql = "CREATE SEQUENCE public.tries;
        CREATE FUNCTION second() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            IF nextval('public.tries') = 2 THEN RAISE EXCEPTION 'locked' USING ERRCODE = 'lock_not_available'; END IF;
            RAISE EXCEPTION 'bad' USING ERRCODE = 'check_violation';
          END $$;
        CREATE CONSTRAINT TRIGGER second AFTER INSERT ON ticks DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW WHEN (NEW.symbol = 'bad') EXECUTE FUNCTION second()";
    ticks.db.batch_execute(sql).await?;
    let segment = ticks.segment(0, &["a", "bad"]);
    let outcome = ticks.write(segment.clone()).await;
    let Err(WriteError::Failed(error)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::DatabaseBusy, "the flush goes again: {error}");
    let outcome = ticks.write(segment).await;
    assert!(matches!(&outcome, Err(WriteError::Refused(r)) if r.line == Some(1)), "{outcome:?}");
    Ok(())
}

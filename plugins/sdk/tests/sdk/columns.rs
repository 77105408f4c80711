//! Columns there and back: every kind, nulls apart from absent fields, bitmaps at the edges of bytes.

use proptest::prelude::*;
use weir_plugin_sdk::testkit::{Chance, Datum};
use weir_plugin_sdk::{Batch, Cell, Column, Decimal, Field, Kind, Nulls, Output, Plan, Slices, Values};

/// Where bitmaps change their shape.
const EDGES: [usize; 8] = [0, 1, 7, 8, 9, 15, 16, 17];

/// Writes the cells as one column of `kind` and reads them back, by column and by row.
fn round_trip(kind: Kind, cells: &[Datum]) -> Vec<Datum> {
    let plan = Plan::new().output("field", kind);
    let mut output = Output::new(&plan);
    output.begin(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        output.row(row).set("field", cell.value()).unwrap();
    }
    output.finish().unwrap();
    let emitted = output.emitted();
    let batch = emitted.as_batch(&plan).unwrap();
    assert_eq!(batch.len(), cells.len());
    let by_row: Vec<Datum> = batch
        .rows()
        .map(|row| match kind {
            Kind::Int64 | Kind::Timestamp => row.int64("field").unwrap().into(),
            Kind::Float64 => row.float64("field").unwrap().into(),
            Kind::Boolean => row.boolean("field").unwrap().into(),
            Kind::Text | Kind::Json => row.text("field").unwrap().into(),
            Kind::Binary => row.binary("field").unwrap().into(),
            Kind::Decimal => row.decimal("field").unwrap().into(),
        })
        .collect();
    let by_column: Vec<Datum> = (0..cells.len()).map(|row| read(&batch, kind, row)).collect();
    assert_eq!(by_row, by_column);
    by_column
}

fn read(batch: &Batch<'_>, kind: Kind, row: usize) -> Datum {
    match kind {
        Kind::Int64 | Kind::Timestamp => batch.int64s(0).unwrap().get(row).into(),
        Kind::Float64 => batch.float64s(0).unwrap().get(row).into(),
        Kind::Boolean => batch.booleans(0).unwrap().get(row).into(),
        Kind::Text | Kind::Json => batch.texts(0).unwrap().get(row).into(),
        Kind::Binary => batch.binaries(0).unwrap().get(row).into(),
        Kind::Decimal => batch.decimals(0).unwrap().get(row).into(),
    }
}

fn any_value(kind: Kind) -> BoxedStrategy<Datum> {
    match kind {
        Kind::Int64 | Kind::Timestamp => any::<i64>().prop_map(Datum::Int64).boxed(),
        Kind::Float64 => any::<u64>().prop_map(|bits| Datum::Float64(f64::from_bits(bits))).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Datum::Boolean).boxed(),
        Kind::Text | Kind::Json => any::<String>().prop_map(Datum::Text).boxed(),
        Kind::Binary => any::<Vec<u8>>().prop_map(Datum::Binary).boxed(),
        Kind::Decimal => any::<i128>().prop_map(|unscaled| Datum::Decimal(Decimal { unscaled, scale: 6 })).boxed(),
    }
}

fn any_cells() -> impl Strategy<Value = (Kind, Vec<Datum>)> {
    prop::sample::select(Kind::ALL.to_vec()).prop_flat_map(|kind| {
        let cell = prop_oneof![1 => Just(Datum::Null), 1 => Just(Datum::Absent), 3 => any_value(kind)];
        (Just(kind), prop::collection::vec(cell, 0..40))
    })
}

proptest! {
    #[test]
    fn every_kind_comes_back((kind, cells) in any_cells()) {
        prop_assert_eq!(round_trip(kind, &cells), cells);
    }
}

/// Every column of up to nine rows of values, nulls and absent fields, checked bit by bit.
#[test]
fn bitmaps_follow_every_pattern_of_nulls() {
    for rows in 0..=9_usize {
        for pattern in 0..3_usize.pow(rows as u32) {
            let digits: Vec<usize> = (0..rows).map(|row| pattern / 3_usize.pow(row as u32) % 3).collect();
            check_bitmaps(&digits);
        }
    }
}

/// 0 = a value, 1 = null, 2 = absent.
fn check_bitmaps(digits: &[usize]) {
    let plan = Plan::new().output("flag", Kind::Boolean);
    let mut output = Output::new(&plan);
    output.begin(digits.len());
    output.identity();
    let builder = output.boolean(0).unwrap();
    for digit in digits {
        builder.push_cell(match digit {
            0 => Cell::Value(true),
            1 => Cell::Null,
            _ => Cell::Absent,
        });
    }
    output.finish().unwrap();
    let packed = |is_set: &dyn Fn(usize) -> bool| {
        let mut bytes = vec![0_u8; digits.len().div_ceil(8)];
        for (row, digit) in digits.iter().enumerate() {
            bytes[row / 8] |= u8::from(is_set(*digit)) << (row % 8);
        }
        bytes
    };
    let emitted = output.emitted();
    let column = emitted.columns[0];
    let (no_value, absent) = (digits.iter().any(|digit| *digit > 0), digits.contains(&2));
    assert_eq!(column.values, Values::Booleans(&packed(&|digit| digit == 0)));
    assert_eq!(column.nulls.validity, if no_value { packed(&|digit| digit == 0) } else { vec![] });
    assert_eq!(column.nulls.absent, if absent { packed(&|digit| digit == 2) } else { vec![] });
    let view = column.booleans().unwrap();
    assert_eq!(view.has_nulls(), no_value);
    for (row, digit) in digits.iter().enumerate() {
        assert_eq!(
            (view.has_value(row), view.is_null(row), view.is_absent(row)),
            (*digit == 0, *digit == 1, *digit == 2)
        );
    }
}

#[test]
fn a_row_beyond_the_batch_is_absent() {
    let fields = [Field { path: "x".to_owned(), kind: Kind::Float64 }];
    for rows in EDGES {
        let values = vec![1.0; rows];
        let columns = [Column::of(Values::Float64s(&values))];
        let batch = Batch::new(rows, &fields, &columns).unwrap();
        let view = batch.float64s(0).unwrap();
        assert_eq!(view.iter().count(), rows);
        assert!(view.iter().all(|cell| cell == Cell::Value(1.0)));
        assert_eq!(view.get(rows), Cell::Absent);
        assert_eq!(batch.is_empty(), rows == 0);
    }
}

#[test]
fn a_column_without_nulls_shows_its_bare_values() {
    let column = Column::of(Values::Int64s(&[3, 4]));
    let view = column.int64s().unwrap();
    assert!(!view.has_nulls());
    assert_eq!(view.values(), [3, 4]);
    assert_eq!(view.nulls(), Nulls::default());
}

#[test]
fn a_dictionary_reads_like_texts() {
    let values = Slices { bytes: "aäb".as_bytes(), offsets: &[0, 1, 3, 4] };
    let column = Column {
        nulls: Nulls { validity: &[0b101], absent: &[] },
        values: Values::Dictionary { ids: &[1, 0, 2], values },
    };
    let texts = column.texts().unwrap();
    assert_eq!([texts.get(0), texts.get(1), texts.get(2)], [Cell::Value("ä"), Cell::Null, Cell::Value("b")]);
    assert_eq!((texts.ids(), texts.stored_len(), texts.stored(0)), (Some(&[1, 0, 2][..]), 3, Some("a")));
    assert_eq!(column.binaries().unwrap().get(0), Cell::Value("ä".as_bytes()));
}

#[test]
fn a_json_field_travels_as_a_text() {
    let json = Datum::from(r#"{"a":[1,null]}"#);
    assert_eq!(round_trip(Kind::Json, std::slice::from_ref(&json)), [json]);
}

#[test]
fn columns_that_break_the_interface_are_named() {
    let texts = |bytes, offsets| Values::Texts(Slices { bytes, offsets });
    let with = |validity, absent| Column { nulls: Nulls { validity, absent }, values: Values::Int64s(&[1, 2]) };
    let cases: [(Kind, Column<'_>, &str); 9] = [
        (Kind::Float64, Column::of(Values::Float64s(&[1.0])), "float64s do not hold 2 rows of kind Float64"),
        (Kind::Int64, Column::of(Values::Float64s(&[1.0, 2.0])), "float64s do not hold 2 rows of kind Int64"),
        (Kind::Boolean, Column::of(Values::Booleans(&[])), "booleans do not hold 2 rows of kind Boolean"),
        (
            Kind::Decimal,
            Column::of(Values::Decimals { words: &[0; 4], scale: 39 }),
            "decimals do not hold 2 rows of kind Decimal",
        ),
        (Kind::Text, Column::of(texts(b"ab", &[0, 2])), "texts do not hold 2 rows of kind Text"),
        (Kind::Text, Column::of(texts(b"ab", &[0, 1, 1])), "texts do not hold 2 rows of kind Text"),
        (Kind::Int64, with(&[1, 2], &[]), "2 bytes of validity and 0 of absence do not fit 2 rows"),
        (Kind::Int64, with(&[1], &[0, 0]), "1 bytes of validity and 2 of absence do not fit 2 rows"),
        (Kind::Int64, with(&[], &[1]), "absent rows need a validity bitmap"),
    ];
    for (kind, column, reason) in cases {
        let fields = [Field { path: "x".to_owned(), kind }];
        let failure = Batch::new(2, &fields, &[column]).unwrap_err();
        assert_eq!(failure.message, format!("The column of `x` is malformed: {reason}."));
    }
}

#[test]
fn a_plan_and_its_columns_go_together() {
    let columns = [Column::of(Values::Int64s(&[1, 2]))];
    let failure = Batch::new(2, &[], &columns).unwrap_err();
    assert_eq!(failure.message, "The plan names 0 fields, but 1 columns came.");
}

#[test]
fn broken_texts_are_named_when_they_are_read() {
    let texts = |bytes, offsets| Column::of(Values::Texts(Slices { bytes, offsets })).texts().unwrap_err().message;
    let not_utf8 = "A column of texts is not UTF-8: the host broke the interface.";
    assert_eq!(texts(b"\xff", &[0, 1]), not_utf8);
    assert_eq!(texts("ä".as_bytes(), &[0, 1, 2]), not_utf8);
    let falling = "The offsets of a column of byte strings decrease: the host broke the interface.";
    assert_eq!(texts(b"abc", &[0, 2, 1, 3]), falling);
    let values = Slices { bytes: b"a", offsets: &[0, 1] };
    let dictionary = Column::of(Values::Dictionary { ids: &[0, 1], values });
    assert_eq!(
        dictionary.binaries().unwrap_err().message,
        "A dictionary has ids beyond its values: the host broke the interface."
    );
}

#[test]
fn reading_by_the_wrong_kind_or_name_says_what_to_do() {
    let fields = [Field { path: "price".to_owned(), kind: Kind::Text }];
    let columns = [Column::of(Values::Texts(Slices { bytes: b"a", offsets: &[0, 1] }))];
    let batch = Batch::new(1, &fields, &columns).unwrap();
    let wrong_kind = "The column holds texts, not float64s: read it by the kind that the plan asks for.";
    assert_eq!(batch.float64s(0).unwrap_err().message, wrong_kind);
    assert_eq!(batch.column(1).unwrap_err().message, "Column 1 was read, but the plan names 1 fields.");
    let row = batch.rows().next().unwrap();
    assert_eq!(row.float64("price").unwrap_err().message, wrong_kind);
    assert_eq!(row.text("symbol").unwrap_err().message, "`symbol` is not in the plan: add it there with `input`.");
    let binaries = Column::of(Values::Binaries(Slices { bytes: b"a", offsets: &[0, 1] }));
    assert_eq!(
        binaries.texts().unwrap_err().message,
        "The column holds binaries, not texts: read it by the kind that the plan asks for."
    );
}

#[test]
fn copying_a_column_keeps_every_cell() {
    let mut chance = Chance::new(7);
    for kind in Kind::ALL {
        for rows in EDGES {
            let cells: Vec<Datum> = (0..rows).map(|_| any_cell(kind, &mut chance)).collect();
            let plan = Plan::new().input("from", kind).output("to", kind);
            let mut source = Output::new(&plan);
            source.begin(rows);
            for (row, cell) in cells.iter().enumerate() {
                source.row(row).set("to", cell.value()).unwrap();
            }
            source.finish().unwrap();
            let emitted = source.emitted();
            let batch = Batch::new(rows, plan.inputs(), &emitted.columns).unwrap();
            let mut copy = Output::new(&plan);
            copy.begin(rows);
            copy.identity();
            copy.column(0).unwrap().copy(&batch, 0).unwrap();
            copy.finish().unwrap();
            let (copied, original) = (copy.emitted(), &emitted.columns[0]);
            assert_eq!(copied.columns[0].nulls, original.nulls, "{kind:?} with {rows} rows");
            let copied = copied.as_batch(&plan).unwrap();
            let read: Vec<Datum> = (0..rows).map(|row| read(&copied, kind, row)).collect();
            assert_eq!(read, cells, "{kind:?} with {rows} rows");
        }
    }
}

fn any_cell(kind: Kind, chance: &mut Chance) -> Datum {
    let number = chance.next_u64();
    match (chance.below(3), kind) {
        (0, _) => Datum::Null,
        (1, _) => Datum::Absent,
        (_, Kind::Int64 | Kind::Timestamp) => Datum::Int64(number as i64),
        (_, Kind::Float64) => Datum::Float64(number as f64),
        (_, Kind::Boolean) => Datum::Boolean(number.is_multiple_of(2)),
        (_, Kind::Text | Kind::Json) => Datum::Text("ß".repeat(number as usize % 5)),
        (_, Kind::Binary) => Datum::Binary(vec![0xff; number as usize % 5]),
        (_, Kind::Decimal) => Datum::Decimal(Decimal { unscaled: -i128::from(number), scale: 3 }),
    }
}

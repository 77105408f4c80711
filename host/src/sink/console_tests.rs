//! What the console sink prints.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::{Arc, Mutex};

use arrow_array::{BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_buffer::BooleanBuffer;
use futures_util::FutureExt as _;

use super::*;
use crate::record::origin::{OwnedPayloads, OwnedRecord};
use crate::record::{Decoded, Origin, Rows};
use crate::state::Generation;

fn batch(values: &[&[u8]], rows: Rows) -> Batch {
    let record = |value: &&[u8]| OwnedRecord { value: Some(value.to_vec()), ..OwnedRecord::default() };
    let payloads = OwnedPayloads { records: values.iter().map(record).collect() };
    let offsets = (0..values.len() as i64).map(|row| 10 + row).collect();
    let times = vec![0; values.len()];
    let origin = Origin::new(Lane::new("ticks", 3), offsets, times, 10 + values.len() as i64, 0, Arc::new(payloads));
    Batch::new(Arc::new(origin), Decoded::default(), rows)
}

fn printed(batch: &Batch) -> (Vec<String>, Vec<i64>, Vec<RowError>) {
    let (mut data, mut lines) = (Vec::new(), Vec::new());
    let errors = ConsoleEncoder.encode(batch, &mut data, &mut lines).unwrap();
    (String::from_utf8(data).unwrap().lines().map(str::to_owned).collect(), lines, errors)
}

#[test]
fn written_fields_lie_over_the_record_s_own() {
    let mut batch = batch(&[br#"{"symbol":"S1","price":1.5}"#, br#"{"symbol":"S2"}"#], Rows::All(2));
    batch.write(Path::new("price"), Column::of(Kind::Float64, Arc::new(Float64Array::from(vec![Some(2.5), None]))));
    let (printed, lines, errors) = printed(&batch);
    assert_eq!(
        printed,
        [
            r#"{"kafka_offset":10,"kafka_partition":3,"kafka_topic":"ticks","price":2.5,"symbol":"S1"}"#,
            r#"{"kafka_offset":11,"kafka_partition":3,"kafka_topic":"ticks","price":null,"symbol":"S2"}"#,
        ]
    );
    assert_eq!((lines, errors), (vec![10, 11], vec![]));
}

#[test]
fn every_kind_has_its_json() {
    let mut batch = batch(&[b"raw \xff"], Rows::All(1));
    let time = TimestampMicrosecondArray::from(vec![1_790_000_000_123_456]).with_timezone("UTC");
    let decimal = Decimal128Array::from(vec![-12_345]).with_precision_and_scale(38, 2).unwrap();
    for (name, kind, array) in [
        ("a", Kind::Int64, Arc::new(Int64Array::from(vec![i64::MAX])) as arrow_array::ArrayRef),
        ("b", Kind::Float64, Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("c", Kind::Boolean, Arc::new(BooleanArray::from(vec![true]))),
        ("d", Kind::Text, Arc::new(StringArray::from(vec!["\"ž\""]))),
        ("e", Kind::Binary, Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
        ("f", Kind::Decimal, Arc::new(decimal)),
        ("g", Kind::Timestamp, Arc::new(time)),
        ("h", Kind::Json, Arc::new(StringArray::from(vec![r#"{"x":[1]}"#]))),
    ] {
        batch.write(Path::new(name), Column::of(kind, array));
    }
    let (printed, ..) = printed(&batch);
    assert_eq!(
        printed,
        [concat!(
            r#"{"a":9223372036854775807,"b":null,"c":true,"d":"\"ž\"","e":"\\x00ff","f":"-123.45","#,
            r#""g":"2026-09-21T14:13:20.123456Z","h":{"x":[1]},"kafka_offset":10,"kafka_partition":3,"#,
            r#""kafka_topic":"ticks","value":"\\x72617720ff"}"#
        )]
    );
}

#[test]
fn only_what_is_carried_is_printed_and_what_is_absent_is_not() {
    let mut batch = batch(&[br#"{"symbol":"S1","price":1.5}"#], Rows::All(1));
    let absent = Some(BooleanBuffer::new_set(1));
    let column = Column::of(Kind::Int64, Arc::new(Int64Array::from(vec![None])));
    batch.write(Path::new("count"), Column { absent, ..column });
    batch.carry = Carry::These(vec![Path::new("symbol")]);
    let coordinates = r#"{"kafka_offset":10,"kafka_partition":3,"kafka_topic":"ticks""#;
    assert_eq!(printed(&batch).0, [format!(r#"{coordinates},"symbol":"S1"}}"#)]);
    batch.carry = Carry::None;
    assert_eq!(printed(&batch).0, [format!("{coordinates}}}")]);
}

#[test]
fn a_record_with_a_cell_of_another_kind_is_not_printed() {
    let mut batch = batch(&[b"1", b"2", b"3"], Rows::Picked(vec![0, 1, 1, 2].into()));
    let mismatch = Some(BooleanBuffer::from(vec![false, true, true, false]));
    let column = Column::of(Kind::Int64, Arc::new(Int64Array::from(vec![Some(7), None, None, Some(9)])));
    batch.write(Path::new("count"), Column { mismatch, ..column });
    let (printed, lines, errors) = printed(&batch);
    assert_eq!((printed.len(), lines), (2, vec![10, 12]));
    let errors: Vec<_> = errors.iter().map(|e| (e.record, e.field.as_deref(), e.message.as_str())).collect();
    assert_eq!(errors, [(1, Some("count"), "field \"count\" is no int64")]);
}

/// An output that a test can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn rows_are_printed_once_they_are_flushed_and_positions_move_on() {
    let out = Shared::default();
    let mut sink = ConsoleSink::to(out.clone());
    let lane = Lane::new("ticks", 3);
    let request = |start| ClaimRequest { lane: lane.clone(), start, stateful: false, generation: Generation([0; 32]) };
    let ask = |sink: &mut ConsoleSink, start| sink.claim(&[request(start)]).now_or_never().unwrap().unwrap();
    assert_eq!(ask(&mut sink, None), [Claimed::NoPosition(lane.clone())]);
    let claimed = ask(&mut sink, Some(10));
    let Some(Claimed::Held(claim, _)) = claimed.first() else { panic!("{claimed:?}") };
    assert_eq!((claim.epoch, claim.next_offset), (1, 10));

    let mut segment = Segment::new(lane.clone(), 10, 0);
    let errors = ConsoleEncoder.encode(&batch(&[b"1", b"2"], Rows::All(2)), &mut segment.data, &mut segment.lines);
    assert_eq!(errors.unwrap(), []);
    segment.to = 12;
    sink.withdraw(&mut segment, 10);
    assert_eq!(segment.lines, [11]);
    let flush = Flush { segments: vec![segment] };
    sink.write(&flush, std::slice::from_ref(claim)).now_or_never().unwrap().unwrap();
    let printed = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    assert_eq!(printed, "{\"kafka_offset\":11,\"kafka_partition\":3,\"kafka_topic\":\"ticks\",\"value\":2}\n");

    let rows = sink.positions(std::slice::from_ref(&lane)).now_or_never().unwrap().unwrap();
    assert_eq!(rows.first().and_then(Option::as_ref).map(|row| (row.next_offset, row.token)), Some((12, claim.token)));
    let again = ask(&mut sink, Some(0));
    let Some(Claimed::Held(claim, _)) = again.first() else { panic!("{again:?}") };
    assert_eq!((claim.epoch, claim.next_offset, claim.start_offset), (2, 12, 10));
}

//! One pass over a document: every byte is checked, wanted values go into cells.

use super::cells::Cells;
use super::fault::{Cause, Fault};
use super::names::{Names, Step};
use super::number;
use super::plan::{Branch, Plan, Target};
use super::scan::{Cursor, Literal};
use crate::convert::builder::State;
use crate::error::Result as HostResult;
use crate::limits::JSON_DEPTH_MAX;
use crate::record::{Column, Kind};

/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Pulls the same fields from one document after another into columns.
#[derive(Debug)]
pub struct Puller {
    root: Target,
    branches: Vec<Branch>,
    objects: Vec<Names>,
    /// In the order of the plan.
    cells: Vec<Cells>,
    /// For each column as asked for, its place in `cells`.
    places: Vec<usize>,
}

impl Puller {
    /// A puller of these paths and kinds; the empty path is the whole document. `any_text` concerns the whole
    /// document wanted as text, see [`Cells::AnyText`].
    pub fn new(wants: &[(&str, Kind)], any_text: bool) -> HostResult<Puller> {
        let paths: Vec<&str> = wants.iter().map(|(path, _)| *path).collect();
        let Plan { root, branches, objects, columns } = Plan::new(&paths)?;
        let mut places = vec![0; wants.len()];
        let mut cells = Vec::with_capacity(wants.len());
        for (place, &column) in columns.iter().enumerate() {
            if let (Some(slot), Some((path, kind))) = (places.get_mut(column), wants.get(column)) {
                *slot = place;
                cells.push(Cells::new(*kind, any_text && path.is_empty()));
            }
        }
        Ok(Puller { root, branches, objects, cells, places })
    }

    /// Starts columns of that many cells.
    pub fn begin(&mut self, rows: usize) {
        for cells in &mut self.cells {
            cells.begin(rows);
        }
    }

    /// Fills the cells of one row from a document; after a fault they are null. Returns whether the document is `null`.
    #[inline]
    pub fn document(&mut self, row: usize, payload: &[u8]) -> Result<bool, Fault> {
        let Puller { root, branches, objects, cells, .. } = self;
        let mut document = Document { branches, objects, cells, row };
        document.whole(Cursor::new(payload), *root).inspect_err(|_| document.fail())
    }

    /// The columns in the order asked for.
    pub fn finish(&mut self) -> HostResult<Vec<Column>> {
        let columns = self.cells.iter_mut().map(Cells::finish).collect::<HostResult<Vec<_>>>()?;
        Ok(self.places.iter().filter_map(|&place| columns.get(place).cloned()).collect())
    }
}

/// One row of the columns while its document is read.
struct Document<'p> {
    branches: &'p [Branch],
    objects: &'p mut [Names],
    cells: &'p mut [Cells],
    row: usize,
}

impl Document<'_> {
    #[inline]
    fn whole(&mut self, mut cursor: Cursor<'_>, root: Target) -> Result<bool, Fault> {
        cursor.skip_whitespace();
        let first = cursor.peek();
        match first {
            // A document that is null has no fields: they stay absent, as in a tombstone.
            Some(b'n') => drop(cursor.literal()?),
            Some(b'{' | b'[') => cursor.leave(self.left_after_container(cursor, root, 0)?),
            _ if cursor.rest().starts_with(BYTE_ORDER_MARK) => {
                return Err(cursor.fault(Cause::ByteOrderMark));
            }
            _ => cursor.leave(self.left_after_scalar(cursor, root)?),
        }
        cursor.skip_whitespace();
        if cursor.peek().is_none() { Ok(first == Some(b'n')) } else { Err(cursor.fault(Cause::Trailing)) }
    }

    #[cold]
    fn fail(&mut self) {
        for cells in &mut *self.cells {
            cells.mark(self.row, State::Null);
        }
    }

    /// Goes over a value at that depth. The usual pairs of wanted kind and value come first.
    #[inline(always)]
    fn value(&mut self, cursor: &mut Cursor<'_>, target: Target, depth: usize) -> Result<(), Fault> {
        let start = *cursor;
        let first = cursor.peek().unwrap_or_default();
        let numeric = first.is_ascii_digit() || first == b'-';
        let container = first == b'{' || first == b'[';
        if let Target::Column(column) = target {
            match self.cells.get_mut(column as usize) {
                Some(Cells::Int64(cells)) if numeric => {
                    cells.set(self.row, number::scan(cursor)?.to_i64(|| start.until(*cursor)));
                    return Ok(());
                }
                Some(Cells::Float64(cells)) if numeric => {
                    cells.set(self.row, number::scan(cursor)?.to_f64(|| start.until(*cursor)));
                    return Ok(());
                }
                Some(Cells::Text(cells)) if first == b'"' => {
                    let string = cursor.string()?;
                    if string.escaped {
                        cells.set(self.row, |out| string.append_to(out));
                    } else {
                        cells.set_bytes(self.row, string.content);
                    }
                    return Ok(());
                }
                _ => {}
            }
        } else if target == Target::Skip && !container {
            return cursor.skip_scalar();
        }
        cursor.leave(if container {
            self.left_after_container(*cursor, target, depth)?
        } else {
            self.left_after_scalar(*cursor, target)?
        });
        Ok(())
    }

    /// The bytes after a value that is no array or object.
    #[inline(never)]
    fn left_after_scalar(&mut self, start: Cursor<'_>, target: Target) -> Result<usize, Fault> {
        let mut cursor = start;
        let row = self.row;
        let mut inner = State::Mismatch;
        match cursor.peek() {
            Some(b'"') => {
                let string = cursor.string()?;
                self.own(target).for_each(|cells| cells.string(row, string, start.until(cursor)));
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = number::scan(&mut cursor)?;
                self.own(target).for_each(|cells| cells.number(row, number, start.until(cursor)));
            }
            _ => {
                let literal = cursor.literal()?;
                self.own(target).for_each(|cells| cells.literal(row, literal, start.until(cursor)));
                if literal == Literal::Null {
                    inner = State::Absent;
                }
            }
        }
        self.mark_inner(target, inner);
        Ok(cursor.left())
    }

    /// The bytes after an array or object. Recursive through [`Document::left_after_object`] only where something
    /// from within is wanted, so as deep as the longest path.
    #[inline(never)]
    fn left_after_container(&mut self, start: Cursor<'_>, target: Target, depth: usize) -> Result<usize, Fault> {
        let mut cursor = start;
        match self.object(target) {
            Some(object) if cursor.peek() == Some(b'{') => {
                if depth > 0 {
                    // An earlier member of the same name no longer counts.
                    self.mark_inner(target, State::Absent);
                }
                cursor.leave(self.left_after_object(cursor, object, depth)?);
            }
            _ => {
                cursor.skip_container(depth)?;
                self.mark_inner(target, State::Mismatch);
            }
        }
        let row = self.row;
        self.own(target).for_each(|cells| cells.container(row, start.until(cursor)));
        Ok(cursor.left())
    }

    /// The bytes after an object from which something is wanted.
    fn left_after_object(&mut self, start: Cursor<'_>, object: usize, depth: usize) -> Result<usize, Fault> {
        let mut cursor = start;
        if depth >= JSON_DEPTH_MAX {
            return Err(cursor.fault(Cause::Depth));
        }
        cursor.advance(1);
        if let Some(left) = left_after_empty(cursor) {
            return Ok(left);
        }
        let mut step = self.objects.get(object).map_or(Step::default(), Names::start);
        while let Some(names) = self.objects.get_mut(object) {
            let target = names.next(&mut cursor, &mut step)?;
            self.value(&mut cursor, target, depth + 1)?;
            if cursor.eat(b',') {
                continue;
            }
            cursor.skip_whitespace();
            if !cursor.eat(b',') {
                cursor.expect(b'}', Cause::MemberEnd)?;
                break;
            }
        }
        Ok(cursor.left())
    }

    /// The object of a target from which something is wanted.
    fn object(&self, target: Target) -> Option<usize> {
        match target {
            Target::Branch(branch) => self.branches.get(branch as usize)?.object,
            _ => None,
        }
    }

    /// The columns that are the value itself.
    fn own(&mut self, target: Target) -> impl Iterator<Item = &mut Cells> {
        let columns = match target {
            Target::Skip => 0..0,
            Target::Column(column) => column as usize..column as usize + 1,
            Target::Branch(branch) => self.branches.get(branch as usize).map_or(0..0, |branch| branch.own.clone()),
        };
        self.cells.get_mut(columns).unwrap_or_default().iter_mut()
    }

    /// Marks the columns from within the value.
    fn mark_inner(&mut self, target: Target, state: State) {
        if let Target::Branch(branch) = target
            && let Some(branch) = self.branches.get(branch as usize)
        {
            let inner = self.cells.get_mut(branch.inner.clone()).unwrap_or_default();
            for cells in inner {
                cells.mark(self.row, state);
            }
        }
    }
}

/// The bytes after the closing bracket of an object without members, whose inside begins at the cursor.
fn left_after_empty(mut cursor: Cursor<'_>) -> Option<usize> {
    cursor.skip_whitespace();
    cursor.eat(b'}').then(|| cursor.left())
}

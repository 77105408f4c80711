//! What a plugin author implements: [`Plugin`], and [`Stateful`] where keyed state has to survive.

use crate::state::{Acceptance, Entries, Header, Table};
use crate::{Batch, CODE_STATE, Description, Failure, Output, Plan, Settings};

/// A transform: rows in, rows out.
///
/// A plugin is a pure function of its settings and of the record sequence. It must obey the *law of
/// cuts*: output and state after any row never depend on where the host cut the batches;
/// the test kit's `law_of_cuts` tries it out.
pub trait Plugin: Sized {
    /// Who the plugin is and which settings it takes. Called before anything else, without settings.
    fn describe() -> Description;

    /// Builds the plugin under one pipeline's settings, and says which fields it reads and writes.
    /// A failure is the operator's error: it names the key and what it takes.
    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure>;

    /// Processes the rows of one lane in order. A row that cannot be processed is reported with
    /// [`Output::reject`] and leaves no output and no trace in state; a failure ends the guest.
    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure>;

    /// Moves the watermark to `watermark_us` (µs since the epoch) without a row: the host has recorded
    /// the end of the input or an idle timeout. Rows written here continue the last row before it.
    fn advance(&mut self, watermark_us: i64, output: &mut Output) -> Result<(), Failure> {
        let _ = (watermark_us, output);
        Ok(())
    }
}

/// A plugin with keyed state that the host checkpoints and restores. Exported by
/// `export!(MyPlugin with state)`.
pub trait Stateful: Plugin {
    /// The number of the state's layout; raise it whenever the bytes of an entry change their meaning.
    const STATE_VERSION: u32;

    /// Older layouts that [`convert`](Stateful::convert) understands.
    const CONVERTS: &'static [u32] = &[];

    /// The tables that hold all state; a table's position is its `space` in a checkpoint and must stay
    /// the same as long as `STATE_VERSION` does.
    fn tables(&mut self) -> Vec<&mut dyn Table>;

    /// Decides about a checkpoint before its entries come. By default the layout's version decides
    /// alone; a plugin whose settings shape its state compares [`Header::setting`] here, too.
    fn accept(&self, header: &Header) -> Acceptance {
        Acceptance::by_version(header, Self::STATE_VERSION, Self::CONVERTS)
    }

    /// Rewrites one entry of layout `version` (one of [`CONVERTS`](Stateful::CONVERTS)) into entries of
    /// today's layout; no value = the key is gone. Only called after [`Acceptance::Migrate`].
    fn convert(version: u32, space: u16, key: &[u8], value: Option<&[u8]>, into: &mut Entries) -> Result<(), Failure> {
        let _ = (key, value, into);
        Err(Failure::new(
            CODE_STATE,
            format!(
                "State version {version} of space {space} has no conversion; start empty or use the plugin's former version."
            ),
        ))
    }

    /// Figures for operators, by name: sizes in bytes, times in µs since the epoch. `keys`, `entries` and
    /// `bytes` of all tables are there already; what this adds comes after them.
    fn stats(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

//! Drives one plugin through the calls of the interface, in every build: the component's exports, the
//! test kit and native benches all go through it, so that what is tested is what runs.

use crate::{Batch, CODE_ORDER, Column, Failure, Output, Plan, Plugin, Settings};

/// One running instance of a plugin: unconfigured at first, configured once.
#[derive(Debug)]
pub struct Guest<P> {
    pub(crate) configured: Option<Configured<P>>,
}

/// What a guest holds once it is configured.
#[derive(Debug)]
pub(crate) struct Configured<P> {
    pub(crate) plugin: P,
    pub(crate) settings: Settings,
    pub(crate) plan: Plan,
    pub(crate) output: Output,
    pub(crate) checkpoints: crate::checkpoint::Checkpoints,
    /// Whether rows have changed the state, so that it is too late for a restore.
    pub(crate) is_used: bool,
}

impl<P> Default for Guest<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Guest<P> {
    /// An unconfigured guest.
    pub const fn new() -> Self {
        Self { configured: None }
    }

    pub(crate) fn configured(&mut self) -> Result<&mut Configured<P>, Failure> {
        self.configured
            .as_mut()
            .ok_or_else(|| Failure::new(CODE_ORDER, "The plugin was called before it was configured."))
    }
}

impl<P: Plugin> Guest<P> {
    /// Takes the settings of one pipeline, as the operator wrote them; once in the life of a guest.
    pub fn configure(&mut self, given: impl IntoIterator<Item = (String, String)>) -> Result<&Plan, Failure> {
        if self.configured.is_some() {
            return Err(Failure::new(
                CODE_ORDER,
                "The plugin is configured already: a new configuration needs a new instance.",
            ));
        }
        let settings = Settings::new(&P::describe(), given)?;
        let (plugin, plan) = P::configure(&settings)?;
        let output = Output::new(&plan);
        let configured = Configured {
            plugin,
            settings,
            plan,
            output,
            checkpoints: crate::checkpoint::Checkpoints::default(),
            is_used: false,
        };
        Ok(&self.configured.insert(configured).plan)
    }

    /// The plugin itself, to look into it in tests.
    pub fn plugin(&mut self) -> Result<&mut P, Failure> {
        Ok(&mut self.configured()?.plugin)
    }

    /// The plan under the settings.
    pub fn plan(&mut self) -> Result<&Plan, Failure> {
        Ok(&self.configured()?.plan)
    }

    /// The configured parts for a call that may change state.
    fn running(&mut self) -> Result<&mut Configured<P>, Failure> {
        let configured = self.configured()?;
        if configured.checkpoints.is_restoring() {
            return Err(Failure::new(CODE_ORDER, "Rows came before the restore had ended."));
        }
        configured.is_used = true;
        Ok(configured)
    }

    /// Processes `rows` rows with one column per input of the plan; what they gave is in the output.
    pub fn process(&mut self, rows: usize, columns: &[Column<'_>]) -> Result<&mut Output, Failure> {
        let Configured { plugin, plan, output, .. } = self.running()?;
        let batch = Batch::new(rows, plan.inputs(), columns)?;
        output.begin(rows);
        plugin.process(&batch, output)?;
        output.finish()?;
        Ok(output)
    }

    /// Moves the watermark to `watermark_us` without a row; what that gave is in the output.
    pub fn advance(&mut self, watermark_us: i64) -> Result<&mut Output, Failure> {
        let Configured { plugin, output, .. } = self.running()?;
        output.begin(0);
        plugin.advance(watermark_us, output)?;
        output.finish()?;
        Ok(output)
    }
}

//! The smallest plugin worth reading: passes every row on with all its fields, and renames one if asked.

use weir_plugin_sdk::{
    Batch, CODE_SETTING, Check, Description, Failure, Importance, Kind, Output, Plan, Plugin, Setting, Settings,
};

/// Passes rows on; keeps nothing from row to row.
#[derive(Debug)]
pub struct Identity {
    renames: bool,
}

impl Plugin for Identity {
    fn describe() -> Description {
        let about = "Passes every row on with all its fields, and renames one field if asked.";
        Description::new("identity", env!("CARGO_PKG_VERSION"), about)
            .setting(
                Setting::string("from")
                    .optional()
                    .check(Check::NonEmpty)
                    .importance(Importance::High)
                    .doc("The field to rename; without it every field keeps its name."),
            )
            .setting(
                Setting::string("to")
                    .optional()
                    .check(Check::NonEmpty)
                    .importance(Importance::High)
                    .doc("Its new name."),
            )
            .setting(
                Setting::string("kind")
                    .default_value(Kind::Text.name())
                    .check(Check::one_of(Kind::ALL.map(Kind::name)))
                    .doc("The type of the field; a row with a value of another type is an error."),
            )
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let plan = Plan::new().carry_all();
        let kind = Kind::of_name(settings.text("kind")?).unwrap_or(Kind::Text);
        match (settings.get("from")?, settings.get("to")?) {
            (None, None) => Ok((Self { renames: false }, plan)),
            (Some(from), Some(to)) if from != to => {
                // The old name is written as well, as absent: that takes it out of what is carried.
                let plan = plan.input(from, kind).output(to, kind).output(from, kind);
                Ok((Self { renames: true }, plan))
            }
            _ => Err(Failure::new(CODE_SETTING, "Settings `from` and `to` need each other and two different names.")),
        }
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        if self.renames {
            output.column(0)?.copy(batch, 0)?;
            output.column(1)?.push_absent(batch.len());
        }
        output.identity();
        Ok(())
    }
}

weir_plugin_sdk::export!(Identity);

#[cfg(test)]
mod tests;

//! The code of `plugins/README.md`, so that what authors read first compiles and passes.

use weir_plugin_sdk::{Batch, Check, Description, Failure, Kind, Output, Plan, Plugin, Setting, Settings};

/// Adds `notional = price × volume`, and rejects rows whose price is not above zero.
pub struct Notional {
    scale: f64,
}

impl Plugin for Notional {
    fn describe() -> Description {
        Description::new("notional", "1.0.0", "Adds price times volume.").setting(
            Setting::double("scale").default_value("1").check(Check::AtLeast(0)).doc("A factor on every result."),
        )
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let scale = settings.float64("scale")?;
        let plan = Plan::new().carry_all();
        let plan = plan.input("price", Kind::Float64).required();
        let plan = plan.input("volume", Kind::Int64);
        Ok((Self { scale }, plan.output("notional", Kind::Float64)))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        for row in batch.rows() {
            let price = row.float64("price")?.value().unwrap_or_default();
            if price <= 0.0 {
                let problem = format!("Field `price` is {price}, not above 0.");
                output.reject(row.index(), 1, problem);
                continue;
            }
            let volume = row.int64("volume")?;
            let notional = volume.map(|volume| self.scale * price * volume as f64);
            output.row(row.index()).set("notional", notional)?;
        }
        Ok(())
    }
}

weir_plugin_sdk::export!(Notional);

fn process(scale: f64, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
    let (prices, volumes) = (batch.float64s(0)?, batch.int64s(1)?);
    let notional = output.float64(0)?;
    for (price, volume) in prices.iter().zip(volumes.iter()) {
        let pair = price.value().zip(volume.value());
        notional.push(pair.map(|(price, volume)| scale * price * volume as f64));
    }
    output.identity(); // output row i continues input row i
    Ok(())
}

use weir_plugin_sdk::record;
use weir_plugin_sdk::testkit::{Kit, law_of_cuts};

#[test]
fn price_times_volume() -> Result<(), Box<dyn std::error::Error>> {
    let records = [
        record! { "price": 1.5, "volume": 4 },
        record! { "price": 1.5 },
        record! { "price": -1.0, "volume": 4 },
        record! { "volume": 4 },
    ];
    let outcome = Kit::<Notional>::new(&[("scale", "100")])?.process(&records)?;
    assert_eq!(outcome.rows, [record! { "notional": 600.0 }, record! {}]);
    assert_eq!(outcome.origins, [0, 1]);
    let problems = outcome.rejected.iter().map(|error| error.row);
    assert!(problems.eq([2, 3])); // the second by the host: `price` is required
    law_of_cuts::<Notional>(&[], &records, 1, 100)?;
    Ok(())
}

/// The loop over columns computes what the loop over rows does.
#[test]
fn columns_and_rows_agree() {
    let prices = [1.5, 2.0, 3.0];
    let plan = Plan::new().input("price", Kind::Float64).input("volume", Kind::Int64).output("notional", Kind::Float64);
    let columns = [
        weir_plugin_sdk::Column::of(weir_plugin_sdk::Values::Float64s(&prices)),
        weir_plugin_sdk::Column::of(weir_plugin_sdk::Values::Int64s(&[1, 0, 7])),
    ];
    let batch = Batch::new(3, plan.inputs(), &columns).unwrap();
    let outputs = [0, 1].map(|by_column| {
        let mut output = Output::new(&plan);
        output.begin(3);
        let done = match by_column {
            1 => process(2.0, &batch, &mut output),
            _ => Notional { scale: 2.0 }.process(&batch, &mut output),
        };
        done.and_then(|()| output.finish()).unwrap();
        output
    });
    assert_eq!(outputs[0].emitted(), outputs[1].emitted());
}

/// Every Rust block of the page stands in this file, word for word.
#[test]
fn the_page_shows_this_code() {
    let (page, code) = (include_str!("../../../README.md"), include_str!("notional.rs"));
    let rest = page.split("```rust\n").skip(1);
    let blocks: Vec<&str> = rest.filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        assert!(code.contains(block), "not here:\n{block}");
    }
}

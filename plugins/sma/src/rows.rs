//! Windows of rows: the last n rows of a key in the order of arrival.

use crate::slot::{observation, word};
use weir_plugin_sdk::exact::Sum;
use weir_plugin_sdk::state::Window;

/// Takes a row in; the sum is then that of the window that ends with it.
#[inline(always)]
pub(crate) fn step(window: &mut Window<'_, Sum, 1>, value: Option<f64>) {
    let oldest = window.push([word(value)]);
    let sum = window.value_mut();
    if let Some([oldest]) = oldest
        && let Some(gone) = observation(oldest)
    {
        sum.remove(gone);
    }
    if let Some(value) = value {
        sum.add(value);
    }
}

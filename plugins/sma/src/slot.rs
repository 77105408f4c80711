//! What a slot of a window holds: the bits of an observation, or the mark of a row without one.

/// A row without an observation: a NaN that no observation has.
const NOTHING: u64 = 0x7ff0_0000_0000_0001;

/// The word of an observation. Equal observations have equal words: there is one NaN and one zero.
#[inline]
pub(crate) fn word(value: Option<f64>) -> u64 {
    value.map_or(NOTHING, f64::to_bits)
}

/// The observation of a word.
#[inline]
pub(crate) fn observation(word: u64) -> Option<f64> {
    (word != NOTHING).then(|| f64::from_bits(word))
}

/// The value with one bit pattern for all NaN, and without the sign of zero.
#[inline]
pub(crate) fn canonical(value: f64) -> f64 {
    // -0.0 + 0.0 is +0.0 in IEEE 754, and every other number plus zero is itself.
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{canonical, observation, word};

    #[test]
    fn every_observation_has_one_word_and_comes_back() {
        let nan = f64::from_bits(0x7ff0_0000_0000_0001);
        assert!(observation(word(Some(canonical(nan)))).is_some_and(f64::is_nan));
        assert_eq!(observation(word(None)), None);
        assert_eq!(word(Some(canonical(-0.0))), word(Some(0.0)));
        for value in [1.5, -5e-324, f64::INFINITY, f64::MIN] {
            assert_eq!(observation(word(Some(canonical(value)))), Some(value));
        }
    }
}

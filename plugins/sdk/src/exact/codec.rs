//! The bytes of a [`Sum`] in a checkpoint, state version 1, little endian:
//! `low u64, high u64, count u32, base i16, flags u8`, then with flag 1 the rare parts:
//! `nan u32, +inf u32, -inf u32, strays u8`, and with flag 2 the superaccumulator:
//! `n u8` and its n lowest 64-bit limbs, of which the last one tells the sign.

use super::{NO_GRID, Rare, Sum, Wide};
use crate::state::{Reader, Stored};

const FLAG_RARE: u8 = 1;
const FLAG_WIDE: u8 = 2;

impl Stored for Sum {
    fn encode(&self, out: &mut Vec<u8>) {
        let wide = self.rare.as_ref().and_then(|rare| rare.wide.as_ref());
        let flags = (u8::from(self.rare.is_some()) * FLAG_RARE) | (u8::from(wide.is_some()) * FLAG_WIDE);
        out.extend_from_slice(&self.low.to_le_bytes());
        out.extend_from_slice(&self.high.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.base.to_le_bytes());
        out.push(flags);
        if let Some(rare) = &self.rare {
            for counter in [rare.nan, rare.plus_infinity, rare.minus_infinity] {
                out.extend_from_slice(&counter.to_le_bytes());
            }
            out.push(rare.strays);
        }
        if let Some(wide) = wide {
            let limbs = wide.significant();
            out.push(limbs.len() as u8);
            for limb in limbs {
                out.extend_from_slice(&limb.to_le_bytes());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let (low, high, count) = (reader.u64()?, reader.u64()?, reader.u32()?);
        let base = i16::from_le_bytes(reader.array()?);
        let flags = reader.u8()?;
        let sound = (1..=1_990).contains(&base) || (base == NO_GRID && low == 0 && high == 0);
        if !sound || ![0, FLAG_RARE, FLAG_RARE | FLAG_WIDE].contains(&flags) {
            return None;
        }
        let mut rare = None;
        if flags & FLAG_RARE != 0 {
            let (nan, plus_infinity, minus_infinity) = (reader.u32()?, reader.u32()?, reader.u32()?);
            let strays = reader.u8()?;
            rare = Some(Box::new(Rare { nan, plus_infinity, minus_infinity, strays, wide: None }));
        }
        if let Some(rare) = &mut rare
            && flags & FLAG_WIDE != 0
        {
            let limbs = usize::from(reader.u8()?);
            let words = reader.take(limbs * 8)?.as_chunks::<8>().0;
            rare.wide = Some(Box::new(Wide::from_significant(words.iter().map(|word| u64::from_le_bytes(*word)))?));
        }
        Some(Self { low, high, count, base, rare })
    }
}

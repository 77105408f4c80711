//! How the values of a table become bytes and come back.

/// What a table holds per key, as bytes of a checkpoint.
///
/// One state has one form: equal values give equal bytes, on every machine (fixed widths, little endian).
pub trait Stored: Sized {
    /// Appends the bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`encode`](Self::encode) wrote; `None` where the bytes cannot come from it.
    fn decode(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Reads bytes from the front.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next `count` bytes; `None` where fewer are left.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.bytes.split_at_checked(count)?;
        self.bytes = left;
        Some(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, left) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = left;
        Some(*taken)
    }
}

/// Reading and storing of plain numbers.
macro_rules! numbers {
    ($($number:ident),+) => {
        impl Reader<'_> {$(
            #[doc = concat!("The next `", stringify!($number), "`, little endian.")]
            pub fn $number(&mut self) -> Option<$number> {
                self.array().map($number::from_le_bytes)
            }
        )+}

        $(impl Stored for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn decode(reader: &mut Reader<'_>) -> Option<Self> {
                reader.$number()
            }
        })+
    };
}

numbers!(u8, u16, u32, u64, i16, i32, i64, i128, f64);

impl Stored for () {
    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(_reader: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Stored for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Stored> Stored for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        if bool::decode(reader)? { T::decode(reader).map(Some) } else { Some(None) }
    }
}

impl<T: Stored, const N: usize> Stored for [T; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        for value in self {
            value.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let values: Vec<T> = (0..N).map(|_| T::decode(reader)).collect::<Option<_>>()?;
        values.try_into().ok()
    }
}

//! Python's codecs of one and two bytes a sign for Chinese, Japanese and Korean, on the tables of
//! `encoding_rs`; where Python's own tables differ is in `double_bytes.txt`.

use encoding_rs::Encoding;

use super::decoder::{Decoder, Fault, Sink};
use super::runs::{Run, runs};

const MENDS: &str = include_str!("double_bytes.txt");

/// A codec by Python's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    name: &'static str,
    library: &'static Encoding,
}

/// Every one of them.
const CODECS: [Codec; 11] = [
    Codec { name: "big5", library: encoding_rs::BIG5 },
    Codec { name: "big5hkscs", library: encoding_rs::BIG5 },
    Codec { name: "cp932", library: encoding_rs::SHIFT_JIS },
    Codec { name: "cp949", library: encoding_rs::EUC_KR },
    Codec { name: "cp950", library: encoding_rs::BIG5 },
    Codec { name: "euc_jp", library: encoding_rs::EUC_JP },
    Codec { name: "euc_kr", library: encoding_rs::EUC_KR },
    Codec { name: "gb18030", library: encoding_rs::GB18030 },
    Codec { name: "gb2312", library: encoding_rs::GB18030 },
    Codec { name: "gbk", library: encoding_rs::GB18030 },
    Codec { name: "shift_jis", library: encoding_rs::SHIFT_JIS },
];

impl Codec {
    pub(super) fn find(name: &str) -> Option<Self> {
        CODECS.into_iter().find(|codec| codec.name == name)
    }
}

/// A codec at work.
pub(super) struct DoubleByte {
    codec: Codec,
    mends: Vec<Run>,
}

impl DoubleByte {
    pub(super) fn new(codec: Codec) -> Self {
        let mends = runs(MENDS, codec.name).map(Iterator::collect).unwrap_or_default();
        Self { codec, mends }
    }

    fn lead(&self, lead: u8, rest: &[u8]) -> Lead {
        match (self.codec.name, lead) {
            (_, ..=0x7f) | ("cp932", 0x80) => Lead::Sign(u32::from(lead)),
            ("cp932" | "shift_jis", 0xa1..=0xdf) => Lead::Sign(0xfec0 + u32::from(lead)),
            ("cp932", 0xa0) => Lead::Sign(0xf8f0),
            ("cp932", 0xfd..) => Lead::Sign(0xf8f1 - 0xfd + u32::from(lead)),
            ("shift_jis", 0x80 | 0xa0 | 0xeb..) => Lead::Nothing,
            ("euc_jp", 0x8f) => Lead::Sequence(3),
            ("gb18030", _) if matches!(rest.get(1), Some(b'0'..=b'9')) => Lead::Sequence(4),
            _ => Lead::Sequence(2),
        }
    }

    fn decoded(&self, sequence: &[u8], text: &mut Sink<'_>) -> Option<()> {
        let code = sequence.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
        let next = self.mends.partition_point(|run| run.start <= code);
        let run = next.checked_sub(1).and_then(|at| self.mends.get(at));
        if let Some(run) = run.filter(|run| code <= run.start + run.more) {
            text.push(char::from_u32(run.sign? + code - run.start)?);
            return Some(());
        }
        let decoded =
            self.codec.library.decode_without_bom_handling_and_without_replacement(sequence);
        text.push_str(&decoded?);
        Some(())
    }
}

/// What begins with a byte.
enum Lead {
    /// Nothing else: it is a sign.
    Sign(u32),
    /// Nothing at all.
    Nothing,
    /// A sequence of so many bytes.
    Sequence(usize),
}

impl Decoder for DoubleByte {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        let rest = bytes.get(position..).unwrap_or_default();
        let lead = rest.first().copied().unwrap_or_default();
        let illegal = || Fault::new(self.codec.name, position, 1, "illegal multibyte sequence");
        let length = match self.lead(lead, rest) {
            Lead::Sign(code) => {
                text.extend(char::from_u32(code));
                return Ok(position + 1);
            }
            Lead::Nothing => return Err(illegal()),
            Lead::Sequence(length) => length,
        };
        let Some(sequence) = rest.get(..length) else {
            let reason = "incomplete multibyte sequence";
            return Err(Fault::cut(self.codec.name, position, bytes, reason));
        };
        // The library has a sign of one byte here, as the web does.
        if lead == 0x80 {
            return Err(illegal());
        }
        self.decoded(sequence, text).map(|()| position + length).ok_or_else(illegal)
    }
}

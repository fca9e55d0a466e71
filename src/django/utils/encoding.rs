//! `django.utils.encoding` and Python's `codecs`: from bytes to text, by the label a client sent.

use std::borrow::Cow;

/// A text encoding that we can decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// `utf-8`, Django's `DEFAULT_CHARSET`
    Utf8,
    /// `utf-8-sig`: UTF-8 with or without a byte order mark
    Utf8Sig,
    /// `latin-1`
    Latin1,
    /// `ascii`
    Ascii,
}

/// What `codecs.lookup(label)` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// `LookupError`: Python knows no such codec.
    Unknown,
    /// A text encoding of ours.
    Text(Charset),
    /// A codec that Python has and we do not decode: it is none of text (`hex`, `zlib`), or a
    /// text encoding not in [`Charset`].
    Unsupported,
}

/// `codecs.lookup`, by the aliases of `encodings.aliases`. It raises for a label with a NUL too.
#[must_use]
pub fn lookup(label: &str) -> Lookup {
    if label.contains('\0') {
        return Lookup::Unknown;
    }
    let name = normalize(label);
    let alias = name.replace('.', "_");
    let is_alias = !MODULES.contains(&alias.as_str());
    let by_alias = || known(&alias).filter(|_| is_alias);
    known(&name).or_else(by_alias).unwrap_or(Lookup::Unknown)
}

/// The codecs of [`Charset`] whose own name has a `_`; only in aliases a dot may stand for it.
const MODULES: [&str; 3] = ["utf_8", "utf_8_sig", "latin_1"];

fn known(name: &str) -> Option<Lookup> {
    let charset = match name {
        "utf_8" | "u8" | "utf" | "utf8" | "utf8_ucs2" | "utf8_ucs4" | "cp65001" => Charset::Utf8,
        "utf_8_sig" => Charset::Utf8Sig,
        "latin_1" | "8859" | "cp819" | "csisolatin1" | "ibm819" | "iso8859" | "iso8859_1"
        | "iso_8859_1" | "iso_8859_1_1987" | "iso_ir_100" | "l1" | "latin" | "latin1" => {
            Charset::Latin1
        }
        "ascii" | "646" | "ansi_x3.4_1968" | "ansi_x3_4_1968" | "ansi_x3.4_1986" | "cp367"
        | "csascii" | "ibm367" | "iso646_us" | "iso_646.irv_1991" | "iso_ir_6" | "us"
        | "us_ascii" => Charset::Ascii,
        _ => {
            let mut others = OTHER_CODECS.split(' ');
            return others.any(|other| other == name).then_some(Lookup::Unsupported);
        }
    };
    Some(Lookup::Text(charset))
}

/// `encodings.normalize_encoding`: a run of anything but ASCII letters, digits and dots is one `_`.
fn normalize(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    let mut gap = false;
    for c in label.chars() {
        if c.is_ascii_alphanumeric() || c == '.' {
            if gap && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
            gap = false;
        } else {
            gap = true;
        }
    }
    name
}

impl Charset {
    /// `codecs.getreader(charset)(stream).read()`. The reader waits for the rest of a sequence that
    /// the end of the stream cut off, so that is dropped and no error; `Err` is the text of the
    /// `UnicodeDecodeError`.
    pub fn read_stream(self, bytes: &[u8]) -> Result<Cow<'_, str>, String> {
        match self {
            Self::Utf8 => utf8_up_to_cut(bytes),
            Self::Utf8Sig if BOM.starts_with(bytes) => Ok(Cow::Borrowed("")),
            Self::Utf8Sig => utf8_up_to_cut(bytes.strip_prefix(BOM).unwrap_or(bytes)),
            Self::Latin1 => Ok(latin1(bytes)),
            Self::Ascii => ascii(bytes).map_err(|(position, byte)| {
                format!(
                    "'ascii' codec can't decode byte 0x{byte:02x} in position {position}: \
                     ordinal not in range(128)"
                )
            }),
        }
    }

    /// `bytes.decode(charset)`; `None` is a `UnicodeDecodeError`.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Utf8 => str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Self::Utf8Sig => Self::Utf8.decode(bytes.strip_prefix(BOM).unwrap_or(bytes)),
            Self::Latin1 => Some(latin1(bytes)),
            Self::Ascii => ascii(bytes).ok(),
        }
    }

    /// `bytes.decode(charset, "replace")`, which is also `force_str(bytes, charset, errors="replace")`.
    #[must_use]
    pub fn decode_replacing(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Utf8Sig => String::from_utf8_lossy(bytes.strip_prefix(BOM).unwrap_or(bytes)),
            Self::Latin1 => latin1(bytes),
            Self::Ascii => {
                ascii(bytes).unwrap_or_else(|_| bytes.iter().copied().map(ascii_or_fffd).collect())
            }
        }
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// `bytes.decode("latin-1")`, which is also how WSGI hands a header over.
#[must_use]
pub fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    ascii(bytes).unwrap_or_else(|_| bytes.iter().copied().map(char::from).collect())
}

/// The text, or position and value of the first byte that is not ASCII.
fn ascii(bytes: &[u8]) -> Result<Cow<'_, str>, (usize, u8)> {
    let mut positions = bytes.iter().copied().enumerate();
    match positions.find(|(_, byte)| !byte.is_ascii()) {
        Some(bad) => Err(bad),
        None => Ok(String::from_utf8_lossy(bytes)),
    }
}

fn ascii_or_fffd(byte: u8) -> char {
    if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER }
}

fn utf8_up_to_cut(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let Err(error) = str::from_utf8(bytes) else {
        return Ok(String::from_utf8_lossy(bytes));
    };
    let (valid, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or((bytes, b""));
    match error.error_len() {
        // Python still waits for a third byte here, though none can make it valid.
        Some(_) if matches!(rest, [0xed, 0xa0..=0xbf]) => Ok(String::from_utf8_lossy(valid)),
        None => Ok(String::from_utf8_lossy(valid)),
        Some(length) => Err(utf8_error(valid.len(), length, rest)),
    }
}

/// The text of Python's `UnicodeDecodeError`; `rest` begins with the bad sequence.
fn utf8_error(position: usize, length: usize, rest: &[u8]) -> String {
    let first = rest.first().copied().unwrap_or_default();
    let reason = match first {
        0x80..=0xc1 | 0xf5..=0xff => "invalid start byte",
        _ => "invalid continuation byte",
    };
    if length == 1 {
        return format!(
            "'utf-8' codec can't decode byte 0x{first:02x} in position {position}: {reason}"
        );
    }
    let last = position + length - 1;
    format!("'utf-8' codec can't decode bytes in position {position}-{last}: {reason}")
}

/// Names and aliases of Python's other codecs, normalized. Without them a label such as
/// `windows-1252` would pass for unknown, and the body be read as UTF-8.
const OTHER_CODECS: &str = "\
    037 1026 1125 1140 1250 1251 1252 1253 1254 1255 1256 1257 1258 273 424 437 500 775 850 852 \
    855 857 858 860 861 862 863 864 865 866 869 932 936 949 950 arabic asmo_708 base64 \
    base64_codec base_64 big5 big5_hkscs big5_tw big5hkscs bz2 bz2_codec charmap chinese cp037 \
    cp1006 cp1026 cp1051 cp1125 cp1140 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 \
    cp1258 cp1361 cp154 cp273 cp424 cp437 cp500 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 \
    cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp866u cp869 cp874 cp875 cp932 cp936 cp949 \
    cp950 cp_gr cp_is csHPRoman8 csbig5 csibm037 csibm1026 csibm273 csibm424 csibm500 csibm855 \
    csibm857 csibm858 csibm860 csibm861 csibm863 csibm864 csibm865 csibm866 csibm869 csiso2022jp \
    csiso2022kr csiso58gb231280 csisolatin2 csisolatin3 csisolatin4 csisolatin5 csisolatin6 \
    csisolatinarabic csisolatincyrillic csisolatingreek csisolatinhebrew cskoi8r cspc775baltic \
    cspc850multilingual cspc862latinhebrew cspc8codepage437 cspcp852 csptcp154 csshiftjis \
    cyrillic cyrillic_asian ebcdic_cp_be ebcdic_cp_ca ebcdic_cp_ch ebcdic_cp_he ebcdic_cp_nl \
    ebcdic_cp_us ebcdic_cp_wt ecma_114 ecma_118 elot_928 euc_cn euc_jis2004 euc_jis_2004 \
    euc_jisx0213 euc_jp euc_kr euccn eucgb2312_cn eucjis2004 eucjisx0213 eucjp euckr gb18030 \
    gb18030_2000 gb2312 gb2312_1980 gb2312_80 gbk greek greek8 hebrew hex hex_codec hkscs \
    hp_roman8 hz hz_gb hz_gb_2312 hzgb ibm037 ibm039 ibm1026 ibm1051 ibm1125 ibm1140 ibm273 \
    ibm424 ibm437 ibm500 ibm775 ibm850 ibm852 ibm855 ibm857 ibm858 ibm860 ibm861 ibm862 ibm863 \
    ibm864 ibm865 ibm866 ibm869 idna iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 \
    iso2022_jp_3 iso2022_jp_ext iso2022_kr iso2022jp iso2022jp_1 iso2022jp_2 iso2022jp_2004 \
    iso2022jp_3 iso2022jp_ext iso2022kr iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 \
    iso8859_16 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 \
    iso_2022_jp iso_2022_jp_1 iso_2022_jp_2 iso_2022_jp_2004 iso_2022_jp_3 iso_2022_jp_ext \
    iso_2022_kr iso_8859_10 iso_8859_10_1992 iso_8859_11 iso_8859_11_2001 iso_8859_13 \
    iso_8859_14 iso_8859_14_1998 iso_8859_15 iso_8859_16 iso_8859_16_2001 iso_8859_2 \
    iso_8859_2_1987 iso_8859_3 iso_8859_3_1988 iso_8859_4 iso_8859_4_1988 iso_8859_5 \
    iso_8859_5_1988 iso_8859_6 iso_8859_6_1987 iso_8859_7 iso_8859_7_1987 iso_8859_8 \
    iso_8859_8_1988 iso_8859_9 iso_8859_9_1989 iso_celtic iso_ir_101 iso_ir_109 iso_ir_110 \
    iso_ir_126 iso_ir_127 iso_ir_138 iso_ir_144 iso_ir_148 iso_ir_157 iso_ir_166 iso_ir_199 \
    iso_ir_226 iso_ir_58 jisx0213 johab koi8_r koi8_t koi8_u korean ks_c_5601 ks_c_5601_1987 \
    ks_x_1001 ksc5601 ksx1001 kz1048 kz_1048 l10 l2 l3 l4 l5 l6 l7 l8 l9 latin10 latin2 latin3 \
    latin4 latin5 latin6 latin7 latin8 latin9 mac_arabic mac_centeuro mac_croatian mac_cyrillic \
    mac_farsi mac_greek mac_iceland mac_latin2 mac_roman mac_romanian mac_turkish \
    maccentraleurope maccyrillic macgreek maciceland macintosh maclatin2 macroman macturkish \
    ms1361 ms932 ms936 ms949 ms950 ms_kanji mskanji palmos pt154 ptcp154 punycode quopri \
    quopri_codec quoted_printable quotedprintable r8 raw_unicode_escape rk1048 roman8 rot13 \
    rot_13 ruscii s_jis s_jis_2004 s_jisx0213 shift_jis shift_jis_2004 shift_jisx0213 shiftjis \
    shiftjis2004 shiftjisx0213 sjis sjis_2004 sjisx0213 strk1048_2002 thai tis620 tis_620 \
    tis_620_0 tis_620_2529_0 tis_620_2529_1 u16 u32 u7 u_jis uhc ujis undefined \
    unicode_1_1_utf_7 unicode_escape unicodebigunmarked unicodelittleunmarked utf16 utf32 utf7 \
    utf_16 utf_16_be utf_16_le utf_16be utf_16le utf_32 utf_32_be utf_32_le utf_32be utf_32le \
    utf_7 uu uu_codec windows_1250 windows_1251 windows_1252 windows_1253 windows_1254 \
    windows_1255 windows_1256 windows_1257 windows_1258 x_mac_japanese x_mac_korean \
    x_mac_simp_chinese x_mac_trad_chinese zip zlib zlib_codec";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_any_spelling_that_python_takes() {
        for label in ["UTF-8", "utf8", "Utf 8", "u8", "utf_8", "-utf--8-", "cp65001"] {
            assert_eq!(lookup(label), Lookup::Text(Charset::Utf8), "{label}");
        }
        for label in ["latin-1", "ISO-8859-1", "iso.8859.1", "L1", "iso8859-1"] {
            assert_eq!(lookup(label), Lookup::Text(Charset::Latin1), "{label}");
        }
        assert_eq!(lookup("ANSI_X3.4-1968"), Lookup::Text(Charset::Ascii));
        assert_eq!(lookup("utf-8-sig"), Lookup::Text(Charset::Utf8Sig));
    }

    #[test]
    fn unknown_labels_and_codecs_that_are_not_text_differ() {
        for label in ["", "bogus", "utf9", "aliases", "mbcs", "utf-8\0", "utf.8"] {
            assert_eq!(lookup(label), Lookup::Unknown, "{label}");
        }
        for label in ["hex", "base64", "rot13", "undefined", "zlib", "windows-1252", "utf-16"] {
            assert_eq!(lookup(label), Lookup::Unsupported, "{label}");
        }
    }

    #[test]
    fn a_cut_sequence_at_the_end_of_a_stream_is_dropped() {
        assert_eq!(Charset::Utf8.read_stream(b"a\xf0\x9f\x98"), Ok("a".into()));
        assert_eq!(Charset::Utf8.read_stream(b"a\xed\xa0"), Ok("a".into()));
        assert!(Charset::Utf8.read_stream(b"a\xed\xa0\x80").is_err());
        assert_eq!(Charset::Utf8Sig.read_stream(b"\xef\xbb"), Ok("".into()));
        assert_eq!(Charset::Utf8.decode(b"a\xf0\x9f\x98"), None);
    }

    #[test]
    fn decode_errors_have_the_text_of_python() {
        let text = |bytes| Charset::Utf8.read_stream(bytes).unwrap_err();
        assert_eq!(
            text(b"abc\xff"),
            "'utf-8' codec can't decode byte 0xff in position 3: invalid start byte"
        );
        assert_eq!(
            text(b"\xc3("),
            "'utf-8' codec can't decode byte 0xc3 in position 0: invalid continuation byte"
        );
        assert_eq!(
            text(b"a\xe2\x82("),
            "'utf-8' codec can't decode bytes in position 1-2: invalid continuation byte"
        );
        assert_eq!(
            Charset::Ascii.read_stream(b"ab\xe9").unwrap_err(),
            "'ascii' codec can't decode byte 0xe9 in position 2: ordinal not in range(128)"
        );
    }

    #[test]
    fn replacing_follows_the_charset() {
        assert_eq!(Charset::Utf8.decode_replacing(b"\xe9"), "\u{fffd}");
        assert_eq!(Charset::Latin1.decode_replacing(b"\xe9"), "é");
        assert_eq!(Charset::Ascii.decode_replacing(b"a\xe9b"), "a\u{fffd}b");
        assert_eq!(Charset::Utf8Sig.decode_replacing(b"\xef\xbb\xbfa"), "a");
    }
}

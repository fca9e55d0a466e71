//! Every codec of ours against the Python on PATH: all bytes of the code pages, all pairs of the
//! double-byte ones, and seeded odd bytes for the others.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::versions::Version;

/// Reads `label hexadecimal-bytes` and answers, each in hexadecimal digits and after a sign that says
/// whether it is an error, what a reader, `decode` and `decode` with replacement make of them.
const PYTHON: &str = r#"
import codecs, io, re, sys
sys.stdout.write("%d.%d\n" % sys.version_info[:2])
def told(sign, text):
    return sign + re.sub("[\ud800-\udfff]", "\ufffd", text).encode().hex()
def tried(decode):
    try:
        return told("=", decode())
    except UnicodeError as error:
        return told("!", str(error))
for line in sys.stdin:
    label, digits = line.rstrip("\n").split(" ")
    data = bytes.fromhex(digits)
    print(
        tried(lambda: codecs.getreader(label)(io.BytesIO(data)).read()),
        tried(lambda: data.decode(label)),
        tried(lambda: data.decode(label, "replace")),
    )
"#;

type Input = (&'static str, Vec<u8>);

#[test]
fn every_codec_decodes_as_python_does() {
    let inputs: Vec<Input> = NAMES.lines().flat_map(inputs_of).collect();
    assert!(inputs.len() > 10_000, "{} inputs are not all", inputs.len());
    let answers = ask_python(&inputs);
    let (version, answers) = answers.split_once('\n').unwrap();
    let python = Version::parse(version).unwrap();
    let versions = Versions { python, ..Versions::default() };
    let mut differences = Vec::new();
    for ((label, bytes), answer) in inputs.iter().zip(answers.lines()) {
        let ours = ours(label, bytes, versions);
        let mut theirs: Vec<String> = answer.split(' ').map(text_of).collect();
        if theirs[1].starts_with('!') {
            theirs[1].truncate(1);
        }
        for (ours, theirs) in ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs) {
            let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
            let from =
                |text: &str| text.chars().skip(same.saturating_sub(9)).take(40).collect::<String>();
            differences.push(format!(
                "{label} at {same}: {:?}, Python {:?}",
                from(ours),
                from(theirs)
            ));
        }
    }
    assert_eq!(answers.lines().count(), inputs.len());
    let shown = differences.iter().take(12).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differences\n{shown}", differences.len());
}

fn ours(label: &str, bytes: &[u8], versions: Versions) -> Vec<String> {
    let Lookup::Text(charset) = lookup(label) else { panic!("{label} is not ours") };
    let strict = charset.decoded(bytes);
    let read = match charset.read(bytes, versions) {
        Ok(text) => format!("={text}"),
        Err(text) => format!("!{text}"),
    };
    let strict = strict.map_or_else(|| "!".to_owned(), |text| format!("={text}"));
    vec![read, strict, format!("={}", charset.decode_replacing(bytes))]
}

/// Of an error in `decode` only that it is one is compared: its text is shown nowhere.
fn text_of(answer: &str) -> String {
    let (sign, digits) = answer.split_at(1);
    let bytes: Vec<u8> = (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    format!("{sign}{}", String::from_utf8(bytes).unwrap())
}

fn ask_python(inputs: &[Input]) -> String {
    let mut python = Command::new("python3")
        .args(["-W", "ignore", "-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3 on PATH");
    let mut stdin = python.stdin.take().unwrap();
    let lines: String = inputs.iter().map(|(label, bytes)| line(label, bytes)).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn line(label: &str, bytes: &[u8]) -> String {
    let number = |digits: String, byte: &u8| digits + &format!("{byte:02x}");
    format!("{label} {}\n", bytes.iter().fold(String::new(), number))
}

/// What is tried of the codec of a line of names.
fn inputs_of(line: &'static str) -> Vec<Input> {
    let name = line.split(' ').next().unwrap();
    let Lookup::Text(charset) = lookup(name) else { return Vec::new() };
    let odd: &[&[u8]] = match charset {
        Charset::CodePage(_) | Charset::Latin1 | Charset::Ascii => {
            let alone = (0x80..=255).step_by(5).map(|byte| (name, vec![b'x', byte, b'y']));
            return alone.chain([(name, (0..=255).collect())]).collect();
        }
        Charset::DoubleByte(_) => return double_bytes(name),
        Charset::Utf8 | Charset::Utf8Sig => &[
            b"\xef\xbb\xbf",
            b"\xc3",
            b"\xa9",
            b"\xe2\x82",
            b"\xf0\x9f\x98",
            b"\x80",
            b"\xed\xa0",
            b"a",
            b"\xf4\x90",
            b"\xe0\x80",
            b"\xff",
        ],
        Charset::Utf16(_) => &[
            b"\xff\xfe",
            b"\xfe\xff",
            b"a\0",
            b"\0a",
            b"\xd8",
            b"\0",
            b"\xdc",
            b"\xd8\x3d",
            b"\x3d\xd8",
            b"\xde\0",
        ],
        Charset::Utf32(_) => &[
            b"\xff\xfe\0\0",
            b"\0\0\xfe\xff",
            b"a\0\0\0",
            b"\0\0\0a",
            b"\0",
            b"\0\xd8\0\0",
            b"\0\0\xd8\0",
            b"\x11",
            b"\xf6\x01\0",
        ],
        Charset::Utf7 => &[
            b"+",
            b"-",
            b"A",
            b"AOk",
            b"2D3eAA",
            b"2D0",
            b"3gA",
            b"/",
            b"\xe9",
            b"~",
            b"\\",
            b"a",
            b"+AOkA6Q-",
            b" ",
        ],
        Charset::UnicodeEscape | Charset::RawUnicodeEscape => &[
            b"\\",
            b"u",
            b"U",
            b"x",
            b"N",
            b"{",
            b"}",
            b"0",
            b"12",
            b"d83d",
            b"001",
            b"7",
            b"n",
            b"'",
            b"\n",
            b"g",
            b"\xe9",
            b"00110000",
        ],
    };
    let mut chance = 20_261_124_u32;
    let mut next = |below: usize| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(chance >> 16).unwrap() % below
    };
    (0..400)
        .map(|_| (name, (0..next(7)).flat_map(|_| odd[next(odd.len())].to_vec()).collect()))
        .collect()
}

/// All pairs, those of a lead byte in one text; sequences of three and four bytes; and what is cut.
fn double_bytes(name: &'static str) -> Vec<Input> {
    let mut inputs = Vec::new();
    for lead in 0x80..=255 {
        let pairs = (0..=255).flat_map(|trail| [lead, trail, b'\n', b'\n']).collect();
        inputs.push((name, pairs));
        for end in [b"".as_slice(), b"\xa1y", b"0", b"0\x81"] {
            inputs.push((name, [b"x", [lead].as_slice(), end].concat()));
        }
        let longer = |end: &[u8]| {
            (0..=255).flat_map(|second| [&[lead, second], end, b"\n\n\n"].concat()).collect()
        };
        let ends: &[&[u8]] = match name {
            "gb18030" => &[b"\x810", b"\x819", b"\xa15", b"\xfe9", b"\xf47"],
            _ => &[],
        };
        inputs.extend(ends.iter().map(|end| (name, longer(end))));
        if name == "euc_jp" {
            let thirds = (0x80..=255).flat_map(|third| [0x8f, lead, third, b'\n']).collect();
            inputs.push((name, thirds));
        }
    }
    inputs
}

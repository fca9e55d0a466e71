//! What a client or a database may write, given to each parser by libFuzzer, and what must hold of the outcome.
//!
//! `PARSER` names one. A header that stands beside a body is the first line of the input.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use drf_authtoken::django::auth::hashers::{
    Algorithm, Bounds, Check, Cost, Defaults, EncodedPassword, Hashers, Outcome, Password, Plan,
    Work, advance,
};
use drf_authtoken::django::http::cookie;
use drf_authtoken::django::http::querydict::{Post, QueryDict};
use drf_authtoken::django::http::request::get_host;
use drf_authtoken::django::utils::encoding::{Charset, Lookup, lookup};
use drf_authtoken::django::utils::http::{charset_of, parse_header_parameters, text_of_header};
use drf_authtoken::memory::Memory;
use drf_authtoken::rest_framework::authentication::{get_authorization_header, token_of};
use drf_authtoken::rest_framework::exceptions::APIException;
use drf_authtoken::rest_framework::negotiation::select_renderer;
use drf_authtoken::rest_framework::parsers::{
    Data, Parser, ParserContext, Value, parse, select_parser,
};
use drf_authtoken::rest_framework::renderers::Renderer;
use drf_authtoken::rest_framework::utils::mediatypes::MediaType;
use drf_authtoken::settings::Settings;
use drf_authtoken::versions::{Version, Versions};
use libfuzzer_sys::fuzz_target;
use poem::Request;
use poem::http::{HeaderMap, HeaderValue, header};

/// Gives an input to a parser, and panics where what must hold does not.
type Judge = fn(&[u8]);

/// By the names that `PARSER` may have.
const PARSERS: &[(&str, Judge)] = &[
    ("hash", hash),
    ("authorization", authorization),
    ("querydict", querydict),
    ("multipart", multipart),
    ("json", json),
    ("charset", charset),
    ("host", host),
    ("accept", accept),
    ("content_type", content_type),
    ("cookie", cookies),
    ("planted", planted),
];

#[expect(
    clippy::disallowed_methods,
    reason = "libFuzzer has the command line, and this is no setting"
)]
static PARSER: LazyLock<Judge> = LazyLock::new(|| {
    let name = std::env::var("PARSER").unwrap_or_default();
    PARSERS.iter().find(|(known, _)| *known == name).expect("PARSER names one").1
});

fuzz_target!(|data: &[u8]| (*PARSER)(data));

const FIELDS: [&str; 2] = ["username", "password"];
/// Text takes at most this many times the bytes that it is made of.
const GROWTH: usize = 3;

/// Both ends of what is supported.
fn releases() -> [Versions; 3] {
    let oldest = Versions {
        django: Version(4, 2, Version::NEWEST),
        drf: Version(3, 15, 0),
        python: Version(3, 10, 0),
    };
    let middle = Versions { django: Version(5, 2, Version::NEWEST), ..Versions::default() };
    [oldest, middle, Versions::default()]
}

fn context(versions: Versions) -> ParserContext {
    ParserContext { versions, fields: FIELDS.to_vec(), ..ParserContext::default() }
}

/// The first line, and the rest.
fn split(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, b""),
    }
}

/// Each line that may be the value of a header.
fn header_lines(data: &[u8], name: header::HeaderName) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(&name, value);
        }
    }
    headers
}

static HASHERS: LazyLock<Hashers> = LazyLock::new(|| {
    let mut defaults = Defaults::of_django((6, 1)).unwrap();
    defaults.iterations = 1;
    let cost = Cost { memory_bytes: 1 << 28, time: Duration::from_secs(5) };
    let bounds = Bounds { iterations: 1_000_000, cost };
    // A refusal costs a hash of the preferred one, which here is nothing.
    Hashers::new(Algorithm::Md5, Algorithm::ALL.to_vec(), defaults, bounds)
});

/// A stored hash is of one password at most, and is not begun if it is over the bounds.
fn hash(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let encoded = EncodedPassword::from(text.clone());
    let plan = HASHERS.plan_check(Some(&encoded));
    assert!(plan.cost.time <= Duration::from_secs(5) && plan.cost.memory_bytes <= 1 << 28);
    assert!(plan.held_bytes <= 2 * text.len());
    if plan.cost.time > Duration::from_micros(100) {
        return;
    }
    let is_right = |password: &str| {
        let plan = HASHERS.plan_check(Some(&encoded));
        matches!(done(plan, password), Outcome::Checked(Check::Valid { .. }))
    };
    assert!(!(is_right("secret") && is_right("Secret")), "two passwords are right");
    // Each text that is right says so to the other door, too.
    let other = HASHERS.check_password(&Password::from("secret".to_owned()), Some(&encoded));
    assert_eq!(is_right("secret"), matches!(other, Ok(Check::Valid { .. })));
}

/// All of a plan.
fn done(plan: Plan, password: &str) -> Outcome {
    let password = Password::from(password.to_owned());
    match plan.work {
        Work::Blocking(work) => work(&password).outcome,
        Work::Lane(work) => {
            let mut task = work.start(&password);
            loop {
                advance([&mut task].into_iter(), 1000);
                if let Some(outcome) = task.settle() {
                    return outcome;
                }
            }
        }
    }
}

/// A key is one word of the header behind the scheme, and is found again behind it alone.
fn authorization(data: &[u8]) {
    let headers = header_lines(data, header::AUTHORIZATION);
    let joined = get_authorization_header(&headers);
    let keywords = ["Token".to_owned(), "Bearer".to_owned()];
    let words = joined.split(|byte| byte.is_ascii_whitespace() || *byte == 0x0b);
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    let is_known = words.first().is_some_and(|word| {
        keywords.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
    });
    match token_of(&joined, &keywords) {
        Ok(None) => assert!(!is_known),
        Ok(Some(key)) => {
            assert!(is_known && words[1..] == [key.as_bytes()]);
            let again = format!("Token {key}");
            assert!(
                matches!(token_of(again.as_bytes(), &keywords), Ok(Some(found)) if found == key)
            );
        }
        Err(error) => {
            assert!(is_known && error.status_code() == 401);
            assert!(words.len() != 2 || str::from_utf8(words[1]).is_err());
        }
    }
}

/// Fields that are written again are read as the same, and a form has the values of a query.
fn querydict(data: &[u8]) {
    let (content_type, raw) = split(data);
    for versions in releases() {
        let Ok(query) = QueryDict::from_query_string(raw, content_type, Some(100), versions) else {
            assert!(raw.len() >= 100);
            continue;
        };
        let size: usize = query.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= GROWTH * raw.len());
        let escaped =
            |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let pairs = query.iter().map(|(name, value)| escaped(name) + "=" + &escaped(value));
        let again = pairs.collect::<Vec<_>>().join("&");
        assert_eq!(
            QueryDict::from_query_string(again.as_bytes(), b"", None, versions),
            Ok(query.clone())
        );
        let label = charset_of(&text_of_header(content_type), versions);
        let charset = match label.as_deref().map(lookup) {
            Some(Lookup::Text(charset)) => charset,
            _ => Charset::Utf8,
        };
        let form = Post::from_form(Memory::of(&[raw]), charset, Some(100), &FIELDS).unwrap();
        for name in FIELDS {
            assert_eq!(form.get_last(name), query.get_last(name), "{charset:?}");
        }
    }
}

/// The texts of the fields that are read.
fn texts(mut data: Data) -> [Option<String>; 2] {
    FIELDS.map(|name| match data.take(name)? {
        Value::Str(value) => Some(value.text.to_string()),
        Value::File(name) => Some(name),
        _ => None,
    })
}

/// What is read is not longer than it could be, and a whole part has its whole value.
fn multipart(data: &[u8]) {
    let (content_type, body) = split(data);
    for versions in releases() {
        if let Ok(data) =
            parse(Parser::MultiPart, Memory::of(&[body]), content_type, &context(versions))
        {
            let size: usize = texts(data).iter().flatten().map(String::len).sum();
            assert!(size <= GROWTH * body.len());
        }
    }
    let boundary = "----wholly";
    let value = String::from_utf8_lossy(body);
    if value.contains(boundary) {
        return;
    }
    let head = "Content-Disposition: form-data; name=\"password\"\r\n\r\n";
    let whole = format!("--{boundary}\r\n{head}{value}\r\n--{boundary}--\r\n");
    let content_type = format!("multipart/form-data; boundary={boundary}");
    for versions in releases() {
        let memory = Memory::of(&[whole.as_bytes()]);
        let data = parse(Parser::MultiPart, memory, content_type.as_bytes(), &context(versions));
        assert_eq!(texts(data.unwrap())[1].as_deref(), Some(&*value));
    }
}

/// What serde_json reads is read, and its texts are the same.
fn json(data: &[u8]) {
    let (content_type, body) = split(data);
    let bytes = || Memory::of(&[body]);
    for versions in releases() {
        if let Ok(data) = parse(Parser::Json, bytes(), content_type, &context(versions)) {
            let size: usize = texts(data).iter().flatten().map(String::len).sum();
            assert!(size <= GROWTH * body.len());
        }
        let ours = parse(Parser::Json, bytes(), b"application/json", &context(versions));
        let Ok(theirs) = serde_json::from_slice::<serde_json::Value>(body) else { continue };
        let ours = texts(ours.unwrap_or_else(|error| panic!("{error:?}")));
        assert_eq!(ours, FIELDS.map(|name| Some(theirs.get(name)?.as_str()?.to_owned())));
    }
}

/// Bytes that are text are the same text where faults would be replaced.
fn charset(data: &[u8]) {
    let (label, bytes) = split(data);
    let Lookup::Text(charset) = lookup(&text_of_header(label)) else { return };
    let replaced = charset.decode_replacing(bytes);
    assert!(replaced.len() <= GROWTH * bytes.len());
    let mut memory = Memory::of(&[bytes]);
    if charset.decode(&mut memory) {
        assert_eq!(memory.text(memory.content()), replaced);
    }
    if charset == Charset::Utf8 {
        assert_eq!(replaced, String::from_utf8_lossy(bytes));
    }
    for versions in releases() {
        let mut memory = Memory::of(&[bytes]);
        if charset.read_stream(&mut memory, versions).is_ok() {
            let content = memory.content();
            assert_eq!(memory.text(content.clone()).len(), content.len(), "it is no text");
        }
    }
}

/// The settings with these hosts.
fn serving(hosts: &str) -> Settings {
    let flags = [("ALLOWED_HOSTS", hosts.to_owned())];
    Settings::load(None, &flags, |_| Vec::new()).unwrap()
}

static SITE: LazyLock<[Settings; 2]> =
    LazyLock::new(|| ["*", ".example.com,127.0.0.1,[::1]"].map(serving));

/// A host that is served has the signs of a host only, and is one of those that are allowed.
fn host(data: &[u8]) {
    let mut request = Request::default();
    *request.headers_mut() = header_lines(data, header::HOST);
    let [any, few] = &*SITE;
    let served = get_host(&request, any);
    if let Some(host) = &served {
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        assert!(!host.is_empty() && host.bytes().all(is_sign), "{host}");
    }
    if let Some(host) = get_host(&request, few) {
        assert_eq!(served.as_ref(), Some(&host));
        let name = host.to_ascii_lowercase();
        let name = match name.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &name,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let allowed = ["example.com", "127.0.0.1", "[::1]"].contains(&name);
        assert!(allowed || name.ends_with(".example.com"), "{host}");
    }
}

/// A renderer is taken only if a range of the header names it.
fn accept(data: &[u8]) {
    let renderers = [Renderer::Json, Renderer::BrowsableApi];
    let text = text_of_header(data);
    for versions in releases() {
        let parts = || text.split(',').map(str::trim);
        match select_renderer(&renderers, None, Some(&text), versions) {
            Ok(accepted) => {
                assert!(accepted.indent.unwrap_or(0) <= 8);
                let own = accepted.renderer.media_type().split_once('/').unwrap();
                let names = |range: MediaType| {
                    [own.0, "*"].contains(&range.main_type())
                        && [own.1, "*"].contains(&range.sub_type())
                };
                assert!(
                    text.split(',').any(|part| names(MediaType::parse(part, versions))),
                    "{text:?}"
                );
            }
            Err(error) => {
                assert!(matches!(error, APIException::NotAcceptable));
                let is_short = text.chars().count() <= 8192 && parts().count() <= 64;
                assert!(!is_short || parts().all(|part| part != "application/json"), "{text:?}");
            }
        }
    }
}

/// A parser is taken only for its own type, and parameters are not longer than they could be.
fn content_type(data: &[u8]) {
    let text = text_of_header(data);
    for versions in releases() {
        if let Ok((key, parameters)) = parse_header_parameters(&text, versions) {
            let size: usize = parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(key.len() + size <= GROWTH * text.len());
            for (name, value) in parameters.iter() {
                assert_eq!(parameters.get(name), Some(value));
            }
        }
        let range = MediaType::parse(&text, versions);
        for parser in [Parser::Form, Parser::MultiPart, Parser::Json] {
            let own = parser.media_type().split_once('/').unwrap();
            let is_named = [own.0, "*"].contains(&range.main_type())
                && [own.1, "*"].contains(&range.sub_type());
            let is_long = versions.media_types_are_bounded() && text.chars().count() > 256;
            assert_eq!(select_parser(&[parser], &text, versions).is_some(), is_named && !is_long);
        }
    }
}

/// The last one counts, and it is not longer than it was sent.
fn cookies(data: &[u8]) {
    let text = text_of_header(data);
    let name = "django_language";
    if let Some(value) = cookie::get(&text, name) {
        assert!(text.contains(name) && value.len() <= 2 * text.len());
    }
    assert_eq!(cookie::get(&format!("{text};{name}=de"), name).as_deref(), Some("de"));
}

/// A bug that only the coverage of the JSON parser leads to: a test wants it found.
fn planted(data: &[u8]) {
    let nested = data.iter().filter(|byte| **byte == b'[').count();
    let read = parse(Parser::Json, Memory::of(&[data]), b"", &context(Versions::default()));
    assert!(read.is_err() || nested < 4 || data.len() < 8, "the planted bug");
}

//! `django.utils.translation`: which language a request gets, and its texts.
//!
//! The catalogues are the site's own, resolved by its gettext when its settings were exported:
//! what a language does not have itself stands there already.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::text::is_space;
use crate::settings::Settings;

/// `LANGUAGE_CODE_MAX_LENGTH`: no more characters of a header or a cookie are looked at.
const LANGUAGE_CODE_MAX_LENGTH: usize = 500;

/// `LANG_INFO`: where a variant falls back to another one instead of to its own language.
const FALLBACKS: [(&str, &str); 6] = [
    ("zh-cn", "zh-hans"),
    ("zh-hk", "zh-hant"),
    ("zh-mo", "zh-hant"),
    ("zh-my", "zh-hans"),
    ("zh-sg", "zh-hans"),
    ("zh-tw", "zh-hant"),
];

/// An active language: what `gettext` and `get_language` read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Translation {
    language: Arc<str>,
    texts: Arc<HashMap<String, String>>,
}

impl Translation {
    /// Without a catalogue.
    #[must_use]
    pub fn english() -> Self {
        Self { language: "en".into(), texts: Arc::default() }
    }

    /// `get_language`
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// `gettext`
    #[must_use]
    pub fn gettext<'a>(&'a self, msgid: &'a str) -> &'a str {
        self.texts.get(msgid).map_or(msgid, String::as_str)
    }
}

/// The languages of the site.
#[derive(Debug)]
pub struct Languages {
    use_i18n: bool,
    /// `LANGUAGE_CODE`
    default: String,
    /// `get_languages`, in its order.
    supported: Vec<String>,
    translations: BTreeMap<String, Translation>,
    /// The one of `LANGUAGE_CODE`, where nobody chose.
    fallback: Translation,
}

impl Languages {
    /// Those of `settings`.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let catalogs = &settings.messages.0;
        let of = |code: &str| {
            let texts = catalogs.get(code).cloned().unwrap_or_default();
            let texts = if settings.use_i18n { texts } else { BTreeMap::new() };
            let texts = Arc::new(texts.into_iter().collect());
            Translation { language: code.into(), texts }
        };
        let default = settings.language_code.clone();
        let fallback = of(&default.to_lowercase());
        let language =
            if settings.use_i18n { fallback.language.clone() } else { (*default).into() };
        Self {
            use_i18n: settings.use_i18n,
            supported: settings.languages.iter().map(|code| code.to_lowercase()).collect(),
            translations: catalogs.keys().map(|code| (code.clone(), of(code))).collect(),
            fallback: Translation { language, ..fallback },
            default,
        }
    }

    /// `translation(LANGUAGE_CODE)`, where no `LocaleMiddleware` chooses.
    #[must_use]
    pub fn fallback(&self) -> &Translation {
        &self.fallback
    }

    /// `get_language_from_request` and `activate`: the cookie's language, the first of
    /// `Accept-Language` that is there, or `LANGUAGE_CODE`. Both texts are as Django has them.
    #[must_use]
    pub fn from_request(&self, cookie: Option<&str>, accept: &str) -> Translation {
        if !self.use_i18n {
            return self.fallback.clone();
        }
        let chosen = cookie.and_then(|code| self.supported_variant(code)).or_else(|| {
            let wanted = parse_accept_lang_header(accept).into_iter();
            let mut wanted = wanted.take_while(|code| code != "*");
            wanted.find_map(|code| self.supported_variant(&code))
        });
        match chosen.or_else(|| self.supported_variant(&self.default)) {
            Some(code) => self.activate(&code),
            None => self.fallback.clone(),
        }
    }

    /// `translation`: a language without a catalogue has the texts of `LANGUAGE_CODE`, but for
    /// the variants of English.
    fn activate(&self, code: &str) -> Translation {
        let code = code.to_lowercase();
        let found = self.translations.get(&code).cloned();
        found.unwrap_or_else(|| {
            let is_english = code.starts_with("en");
            let texts = if is_english { Arc::default() } else { Arc::clone(&self.fallback.texts) };
            Translation { language: code.into(), texts }
        })
    }

    /// `get_supported_language_variant`
    fn supported_variant(&self, code: &str) -> Option<String> {
        let code = match head(code) {
            head if head.len() == code.len() => code,
            head => {
                head.rsplit_once('-').map(|(variant, _)| variant).filter(|it| !it.is_empty())?
            }
        };
        if code.is_empty() {
            return None;
        }
        let fallback = FALLBACKS.iter().find(|(variant, _)| *variant == code).map(|row| row.1);
        let generic = code.rmatch_indices('-').filter_map(|(at, _)| code.get(..at));
        let possible: Vec<&str> = [code].into_iter().chain(fallback).chain(generic).collect();
        let is_there = |code: &&&str| {
            let code = code.to_lowercase();
            self.supported.contains(&code) && self.translations.contains_key(&code)
        };
        if let Some(found) = possible.iter().find(is_there) {
            return Some((*found).to_owned());
        }
        // Django does not ask here whether there is a catalogue.
        let country = format!("{}-", possible.last()?);
        self.supported.iter().find(|code| code.starts_with(&country)).cloned()
    }
}

/// The characters of a text that are looked at.
fn head(text: &str) -> &str {
    let end = text.char_indices().nth(LANGUAGE_CODE_MAX_LENGTH).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// `parse_accept_lang_header`: the ranges by falling weight, or none where one of them is
/// malformed. Of a long header, those before the last comma in bounds.
fn parse_accept_lang_header(header: &str) -> Vec<String> {
    let header = match head(header) {
        head if head.len() == header.len() => header,
        head => match head.rsplit_once(',') {
            Some((ranges, _)) => ranges,
            None => return Vec::new(),
        },
    };
    let header = header.to_lowercase();
    let mut ranges = Vec::new();
    let mut rest = header.as_str();
    while !rest.is_empty() {
        let Some((range, weight, after)) = language_range(rest) else { return Vec::new() };
        ranges.push((range.to_owned(), weight));
        rest = after;
    }
    ranges.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    ranges.into_iter().map(|(range, _)| range).collect()
}

/// `accept_language_re`: a range, its weight, and what stands behind its comma.
fn language_range(text: &str) -> Option<(&str, f32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-*".contains(c));
    let (range, mut rest) = text.split_at(end.unwrap_or(text.len()));
    let mut parts = range.split('-');
    let is_part = |part: &str| (1..=8).contains(&part.len()) && !part.contains('*');
    let is_language =
        |part: &str| is_part(part) && part.bytes().all(|letter| letter.is_ascii_alphabetic());
    if range != "*" && !(parts.next().is_some_and(is_language) && parts.all(is_part)) {
        return None;
    }
    let mut weight = 1.0;
    if let Some(written) = rest.trim_start_matches(is_space).strip_prefix(';') {
        let written = written.trim_start_matches(is_space).strip_prefix("q=")?;
        let end = written.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = written.split_at(end.unwrap_or(written.len()));
        (weight, rest) = (quality(number)?, after);
    }
    if rest.is_empty() {
        return Some((range, weight, rest));
    }
    let after = rest.trim_start_matches(is_space).strip_prefix(',')?;
    Some((range, weight, after.trim_start_matches(is_space)))
}

/// A number from 0 to 1 with three decimals at most.
fn quality(number: &str) -> Option<f32> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_zeros = decimals.bytes().all(|digit| digit == b'0');
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    match whole {
        "0" if is_number => number.parse().ok(),
        "1" if is_number && is_zeros => Some(1.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Messages, Settings};

    fn languages(default: &str, supported: &[&str], catalogs: &[&str]) -> Languages {
        let mut settings = Settings::defaults().unwrap();
        settings.language_code = default.to_owned();
        settings.languages = supported.iter().map(|&code| code.to_owned()).collect();
        let texts = |code: &str| BTreeMap::from([("Token".to_owned(), format!("Token {code}"))]);
        settings.messages =
            Messages(catalogs.iter().map(|&code| (code.to_owned(), texts(code))).collect());
        Languages::new(&settings)
    }

    fn chosen(supported: &[&str], cookie: Option<&str>, accept: &str) -> String {
        let languages = languages("en-us", supported, supported);
        languages.from_request(cookie, accept).language().to_owned()
    }

    #[test]
    fn ranges_are_ordered_by_weight_and_one_fault_spoils_all() {
        let all: [(&str, &[&str]); 14] = [
            ("", &[]),
            ("de", &["de"]),
            ("de, fr;q=0.5 ,ja;q=0.7,", &["de", "ja", "fr"]),
            ("de;q=0.,fr;q=1.000", &["fr", "de"]),
            ("de;q=0.1234,fr", &[]),
            ("de;q=2,fr", &[]),
            ("de\u{a0};\u{85}q=0.5", &["de"]),
            ("de;q=", &[]),
            ("de; q = 1", &[]),
            ("123,de", &[]),
            ("abcdefghi", &[]),
            ("DE-at-1901,*;q=0.1", &["de-at-1901", "*"]),
            (",de", &[]),
            ("de--at", &[]),
        ];
        for (header, ranges) in all {
            assert_eq!(parse_accept_lang_header(header), ranges, "{header:?}");
        }
    }

    #[test]
    fn a_long_header_is_read_up_to_the_last_comma_in_bounds() {
        let long = |first: &str| format!("{first}{}", "de,".repeat(200));
        assert_eq!(parse_accept_lang_header(&long("fr,")).len(), 166);
        assert!(parse_accept_lang_header(&format!("{}-x", "a-".repeat(300))).is_empty());
    }

    #[test]
    fn a_variant_falls_back_to_its_language_and_a_language_to_a_variant() {
        let supported = ["de", "pt-br", "zh-hans", "zh-hant"];
        for (accept, language) in [
            ("de-at-1901", "de"),
            ("pt", "pt-br"),
            ("pt-pt", "pt-br"),
            ("zh-tw", "zh-hant"),
            ("zh-xx", "zh-hans"),
            ("fr, *, de", "en-us"),
        ] {
            assert_eq!(chosen(&supported, None, accept), language, "{accept}");
        }
    }

    #[test]
    fn the_cookie_comes_first_and_a_cookie_of_no_language_does_not_count() {
        assert_eq!(chosen(&["de", "ja"], Some("JA"), "de"), "ja");
        assert_eq!(chosen(&["de", "ja"], Some("nonsense"), "de"), "de");
        assert_eq!(chosen(&["de", "ja"], Some(""), "de"), "de");
        let long = format!("de-{}", "x".repeat(600));
        assert_eq!(chosen(&["de", "ja"], Some(&long), "ja"), "de");
    }

    #[test]
    fn a_language_without_a_catalogue_is_taken_only_as_a_variant_and_speaks_the_default() {
        let languages = languages("de", &["de", "xx-yy", "en-gb"], &["de", "en"]);
        let translation = languages.from_request(None, "xx");
        assert_eq!((translation.language(), translation.gettext("Token")), ("xx-yy", "Token de"));
        assert_eq!(languages.from_request(None, "xx-yy").language(), "xx-yy");
        let english = languages.from_request(None, "en-us");
        assert_eq!((english.language(), english.gettext("Token")), ("en-gb", "Token"));
    }
}

//! `rest_framework.utils.mediatypes._MediaType`: media types and how they match.

use crate::django::utils::http::{Parameters, parse_header_parameters};
use crate::versions::Versions;

/// A media type or a range of them, such as `application/json; indent=4`, `text/*`, `*/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    main_type: String,
    sub_type: String,
    params: Parameters,
}

impl MediaType {
    /// Reads any text. What Django cannot read becomes the empty type, which matches nothing.
    #[must_use]
    pub fn parse(text: &str, versions: Versions) -> Self {
        let (full_type, params) = parse_header_parameters(text, versions).unwrap_or_default();
        let (main_type, sub_type) = full_type.split_once('/').unwrap_or((&full_type, ""));
        Self { main_type: main_type.to_owned(), sub_type: sub_type.to_owned(), params }
    }

    /// The part before the slash.
    #[must_use]
    pub fn main_type(&self) -> &str {
        &self.main_type
    }

    /// The part after the slash; empty where there is none.
    #[must_use]
    pub fn sub_type(&self) -> &str {
        &self.sub_type
    }

    /// The value of a parameter; names are lower case.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// All parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter()
    }

    /// `match`: whether this type satisfies `other`. Wildcards count on both sides, and each
    /// parameter of `self` but `q` must stand in `other` too.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let mut wanted = self.params.iter().filter(|(name, _)| *name != "q");
        wanted.all(|(name, value)| other.param(name) == Some(value))
            && wildcard_eq(&self.sub_type, &other.sub_type)
            && wildcard_eq(&self.main_type, &other.main_type)
    }

    /// How specific the type is: 0 `*/*`, 1 `type/*`, 2 `type/subtype` with no parameter or only
    /// `q`, 3 `type/subtype` with parameters.
    #[must_use]
    pub fn precedence(&self) -> u8 {
        if self.main_type == "*" {
            0
        } else if self.sub_type == "*" {
            1
        } else if self.params.iter().all(|(name, _)| name == "q") {
            2
        } else {
            3
        }
    }
}

fn wildcard_eq(a: &str, b: &str) -> bool {
    a == "*" || b == "*" || a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MediaType {
        MediaType::parse(text, Versions::default())
    }

    fn matches(own: &str, other: &str) -> bool {
        parse(own).matches(&parse(other))
    }

    #[test]
    fn wildcards_match_in_either_half_and_on_either_side() {
        for other in ["*/*", "application/*", "*/json", "APPLICATION/JSON", "application/json;a=b"]
        {
            assert!(matches("application/json", other), "{other}");
        }
        assert!(matches("*/*", "text/html"));
    }

    #[test]
    fn half_a_type_matches_nothing() {
        for other in ["*", "json", "application/", "\"application/json\"", "", "text/json"] {
            assert!(!matches("application/json", other), "{other}");
        }
    }

    #[test]
    fn own_parameters_must_be_met_except_q() {
        assert!(matches("text/html; q=0.1", "text/html"));
        assert!(matches("text/html; level=1", "text/html; level=1; x=y"));
        assert!(!matches("text/html; level=1", "text/html"));
    }

    #[test]
    fn precedence_counts_parameters_but_a_lone_q() {
        let cases = [
            ("*/*; a=b", 0),
            ("*/json", 0),
            ("text/*; a=b", 1),
            ("text/html; q=1", 2),
            ("text", 2),
            ("text/html; q=1; a=b", 3),
        ];
        for (text, precedence) in cases {
            assert_eq!(parse(text).precedence(), precedence, "{text}");
        }
    }
}

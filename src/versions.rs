//! The releases beside this service, and the corners in which they differ.
//!
//! Each question below is one difference. Where it is said in which patch a line of releases began to
//! differ, that is so; else the newest patch of each line stands for the line.

/// A release. A patch that was not told is the newest one of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u8, pub u8, pub u8);

impl Version {
    /// The newest patch of a line.
    pub const NEWEST: u8 = u8::MAX;

    /// Reads `6.1`, `6.1.3` or `6.1rc1`; what follows the numbers is not looked at.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (major, minor) = (parts.next()?.parse().ok()?, digits(parts.next()?)?);
        let patch = parts.next().map_or(Some(Self::NEWEST), digits)?;
        Some(Self(major, minor, patch))
    }
}

/// The number at the beginning.
fn digits(text: &str) -> Option<u8> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}")?;
        if *patch == Self::NEWEST { Ok(()) } else { write!(f, ".{patch}") }
    }
}

/// What stands beside this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// `DJANGO_VERSION`
    pub django: Version,
    /// `DRF_VERSION`
    pub drf: Version,
    /// `PYTHON_VERSION`
    pub python: Version,
}

/// The newest of each.
impl Default for Versions {
    fn default() -> Self {
        Self {
            django: Version(6, 1, Version::NEWEST),
            drf: Version(3, 18, Version::NEWEST),
            python: Version(3, 14, Version::NEWEST),
        }
    }
}

impl Versions {
    /// `CommonMiddleware` tells the length of its redirects too (Django 6.0).
    #[must_use]
    pub fn redirects_have_a_length(self) -> bool {
        self.django >= Version(6, 0, 0)
    }

    /// `parse_header_parameters` has `email.message` read the header, so that parameters of RFC 2231
    /// may be continued and an unknown charset in one is a fault (a late patch of Django 5.2).
    #[must_use]
    pub fn header_parameters_are_pythons(self) -> bool {
        self.django >= Version(5, 2, 0)
    }

    /// `parse_header_parameters` refuses headers of more than `MAX_HEADER_LENGTH` (Django 6.0).
    #[must_use]
    pub fn header_parameters_are_bounded(self) -> bool {
        self.django >= Version(6, 0, 0)
    }

    /// A part's header is split at its colon before its parameters are read (Django 6.0).
    #[must_use]
    pub fn part_headers_are_split_first(self) -> bool {
        self.django >= Version(6, 0, 0)
    }

    /// A part whose headers do not end within `MAX_TOTAL_HEADER_SIZE` is refused (Django 5.1).
    #[must_use]
    pub fn long_part_headers_are_refused(self) -> bool {
        self.django >= Version(5, 1, 0)
    }

    /// Base64 with other signs in between is broken, not read over them (Django 6.1).
    #[must_use]
    pub fn base64_is_validated(self) -> bool {
        self.django >= Version(6, 1, 0)
    }

    /// The last quad of a base64 file must be whole (a late patch of Django 5.2).
    #[must_use]
    pub fn base64_files_end_in_a_quad(self) -> bool {
        self.django >= Version(5, 2, 0)
    }

    /// JSON and forms are read through `request.body`, so `DATA_UPLOAD_MAX_MEMORY_SIZE` holds (DRF 3.18.0).
    #[must_use]
    pub fn bodies_are_bounded(self) -> bool {
        self.drf >= Version(3, 18, 0)
    }

    /// `get_encoding` refuses codecs that are none of text (DRF 3.18.2).
    #[must_use]
    pub fn charsets_must_be_of_text(self) -> bool {
        self.drf >= Version(3, 18, 2)
    }

    /// `Accept` and `Content-Type` are read up to a length only (DRF 3.18.2).
    #[must_use]
    pub fn media_types_are_bounded(self) -> bool {
        self.drf >= Version(3, 18, 2)
    }

    /// `json` says of a comma before the end that it is illegal (Python 3.13).
    #[must_use]
    pub fn json_names_trailing_commas(self) -> bool {
        self.python >= Version(3, 13, 0)
    }

    /// UTF-16 and UTF-32 without a byte order mark are told as a `UnicodeDecodeError` (Python 3.13).
    #[must_use]
    pub fn marks_are_missed_by_position(self) -> bool {
        self.python >= Version(3, 13, 0)
    }

    /// Errors of `int()` call the limit one of digits (Python 3.11).
    #[must_use]
    pub fn int_limit_is_of_digits(self) -> bool {
        self.python >= Version(3, 11, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_far_as_it_is_told() {
        assert_eq!(Version::parse("6.1"), Some(Version(6, 1, Version::NEWEST)));
        assert_eq!(Version::parse("3.18.0"), Some(Version(3, 18, 0)));
        assert_eq!(Version::parse("3.14.0rc1"), Some(Version(3, 14, 0)));
        assert_eq!(Version::parse("6.2b1"), Some(Version(6, 2, Version::NEWEST)));
        for text in ["", "6", "x.1", "6.", "6.1.x", "6.1."] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert_eq!(Version(6, 1, Version::NEWEST).to_string(), "6.1");
        assert_eq!(Version(3, 18, 0).to_string(), "3.18.0");
    }

    #[test]
    fn a_line_without_its_patch_is_after_all_its_patches() {
        assert!(Version::parse("3.18") > Version::parse("3.18.3"));
        assert!(Version::parse("3.18.9") < Version::parse("3.19.0"));
    }
}

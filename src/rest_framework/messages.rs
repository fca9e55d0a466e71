//! The texts of DRF, and of Django's validators below it, that a catalogue translates.
//!
//! In Python they stand where they are raised; here they stand together, because
//! `scripts/export_settings.py` asks the site's own catalogues for exactly these.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::django::utils::translation::Translation;

/// A text by its English words, which are the key in a catalogue too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message(&'static str);

macro_rules! messages {
    ($($name:ident = $msgid:literal;)+) => {
        $(#[doc = concat!("`", $msgid, "`")] pub const $name: Message = Message($msgid);)+

        /// All of them.
        pub const ALL: &[Message] = &[$($name),+];
    };
}

messages! {
    NOT_AUTHENTICATED = "Authentication credentials were not provided.";
    PERMISSION_DENIED = "You do not have permission to perform this action.";
    NOT_FOUND = "Not found.";
    METHOD_NOT_ALLOWED = "Method \"{method}\" not allowed.";
    NOT_ACCEPTABLE = "Could not satisfy the request Accept header.";
    UNSUPPORTED_MEDIA_TYPE = "Unsupported media type \"{media_type}\" in request.";
    NO_CREDENTIALS = "Invalid token header. No credentials provided.";
    SPACES = "Invalid token header. Token string should not contain spaces.";
    INVALID_CHARACTERS = "Invalid token header. Token string should not contain invalid characters.";
    NO_SUCH_TOKEN = "Invalid token.";
    INACTIVE = "User inactive or deleted.";
    BASIC_NO_CREDENTIALS = "Invalid basic header. No credentials provided.";
    BASIC_SPACES = "Invalid basic header. Credentials string should not contain spaces.";
    BASIC_NO_BASE64 = "Invalid basic header. Credentials not correctly base64 encoded.";
    NO_SUCH_LOGIN = "Invalid username/password.";
    REFUSED = "Unable to log in with provided credentials.";
    NO_MAPPING = "Invalid data. Expected a dictionary, but got {datatype}.";
    REQUIRED = "This field is required.";
    NULL = "This field may not be null.";
    BLANK = "This field may not be blank.";
    NO_STRING = "Not a valid string.";
    NULL_CHARACTERS = "Null characters are not allowed.";
    SURROGATES = "Surrogate characters are not allowed: U+{code_point:X}.";
    USERNAME = "Username";
    PASSWORD = "Password";
    TOKEN = "Token";
}

impl Message {
    /// The English text, `msgid`.
    #[must_use]
    pub fn msgid(self) -> &'static str {
        self.0
    }

    /// `{method}` and its kind: what is filled in. No text has more than one.
    fn placeholder(self) -> Option<&'static str> {
        let from = self.0.find('{')?;
        let length = self.0.get(from..)?.find('}')?;
        self.0.get(from..=from + length)
    }

    /// Whether a translation can be filled in as `str.format` does it: Django breaks on another
    /// placeholder when it answers, we say so at the start.
    fn accepts(self, translation: &str) -> bool {
        let Some(placeholder) = self.placeholder() else { return true };
        !translation.replace(placeholder, "").contains(['{', '}'])
    }
}

/// What a client is told: a text that is translated when the answer is made, or one that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The same in every language.
    Plain(Cow<'static, str>),
    /// A message.
    Message(Message),
    /// A message and what its placeholder stands for.
    Formatted(Message, String),
}

impl From<Message> for Text {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Plain(Cow::Borrowed(text))
    }
}

impl Text {
    /// `str(gettext_lazy(…))`, formatted.
    #[must_use]
    pub fn translated(&self, translation: &Translation) -> String {
        match self {
            Self::Plain(text) => text.clone().into_owned(),
            Self::Message(message) => translation.gettext(message.0).to_owned(),
            Self::Formatted(message, value) => {
                let text = translation.gettext(message.0);
                match message.placeholder() {
                    Some(placeholder) => text.replace(placeholder, value),
                    None => text.to_owned(),
                }
            }
        }
    }
}

/// What is wrong with `MESSAGES`, if anything is: a text that is none of ours, or one that cannot
/// be filled in.
#[must_use]
pub fn mistake(messages: &BTreeMap<String, BTreeMap<String, String>>) -> Option<String> {
    let texts = messages.iter().flat_map(|(language, texts)| {
        texts.iter().map(move |(msgid, text)| (language, msgid, text))
    });
    let found: Vec<String> = texts
        .filter_map(|(language, msgid, text)| {
            let Some(message) = ALL.iter().find(|message| message.0 == msgid) else {
                return Some(format!("{language} has {msgid:?}, which is no text of this service"));
            };
            let placeholder = message.placeholder().unwrap_or_default();
            let fault = format!("{language}, {msgid:?}: only {placeholder} may stand in braces");
            (!message.accepts(text)).then_some(fault)
        })
        .collect();
    let remedy = "; run scripts/export_settings.py of this version again";
    (!found.is_empty()).then(|| found.join("; ") + remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_export_asks_for_all_of_them_and_for_nothing_else() {
        let script = include_str!("../../scripts/export_settings.py");
        let (_, rest) = script.split_once("\nMESSAGES = (\n").unwrap();
        let (list, _) = rest.split_once("\n)\n").unwrap();
        let found: Vec<&str> = list
            .lines()
            .map(|line| line.trim().trim_end_matches(',').trim_matches(['"', '\'']))
            .collect();
        let ours: Vec<&str> = ALL.iter().map(|message| message.msgid()).collect();
        assert_eq!(found, ours);
    }

    #[test]
    fn a_placeholder_is_filled_once_and_the_value_is_not_read_again() {
        let text = Text::Formatted(METHOD_NOT_ALLOWED, "{method}".to_owned());
        let english = Translation::english();
        assert_eq!(text.translated(&english), "Method \"{method}\" not allowed.");
    }

    #[test]
    fn a_text_that_is_not_ours_or_cannot_be_filled_in_is_a_mistake() {
        let messages = |msgid: &str, text: &str| {
            let texts = BTreeMap::from([(msgid.to_owned(), text.to_owned())]);
            mistake(&BTreeMap::from([("de".to_owned(), texts)]))
        };
        assert_eq!(messages(NOT_FOUND.msgid(), "{nicht} gefunden"), None);
        assert_eq!(messages(METHOD_NOT_ALLOWED.msgid(), "ohne"), None);
        let found = messages(METHOD_NOT_ALLOWED.msgid(), "{methode}").unwrap();
        assert!(found.contains("only {method} may stand in braces"), "{found}");
        assert!(messages("Hello", "Hallo").unwrap().contains("no text of this service"));
    }
}

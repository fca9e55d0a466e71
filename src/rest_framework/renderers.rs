//! `rest_framework.renderers`: data to bytes.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

mod browsable;

pub use browsable::{POLICY, Page};

/// A renderer class of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renderer {
    /// `JSONRenderer`.
    Json,
    /// `BrowsableAPIRenderer`: an HTML page about the request and its answer.
    BrowsableApi,
    /// `drf_spectacular.renderers.OpenApiYamlRenderer`.
    OpenApiYaml,
    /// `drf_spectacular.renderers.OpenApiYamlRenderer2`: the same under another type.
    OpenApiYaml2,
    /// `drf_spectacular.renderers.OpenApiJsonRenderer`.
    OpenApiJson,
    /// `drf_spectacular.renderers.OpenApiJsonRenderer2`.
    OpenApiJson2,
}

impl Renderer {
    /// `BaseRenderer.media_type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::OpenApiJson2 => "application/json",
            Self::BrowsableApi => "text/html",
            Self::OpenApiYaml => "application/vnd.oai.openapi",
            Self::OpenApiYaml2 => "application/yaml",
            Self::OpenApiJson => "application/vnd.oai.openapi+json",
        }
    }

    /// `BaseRenderer.format`, the value of `?format=` that asks for it.
    #[must_use]
    pub fn format(self) -> &'static str {
        match self {
            Self::Json | Self::OpenApiJson | Self::OpenApiJson2 => "json",
            Self::BrowsableApi => "api",
            Self::OpenApiYaml | Self::OpenApiYaml2 => "yaml",
        }
    }

    /// The `Content-Type` of its answers: JSON carries no charset, a page does.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::OpenApiJson | Self::OpenApiJson2 => self.media_type(),
            Self::BrowsableApi => "text/html; charset=utf-8",
            Self::OpenApiYaml => "application/vnd.oai.openapi; charset=utf-8",
            Self::OpenApiYaml2 => "application/yaml; charset=utf-8",
        }
    }

    /// `SpectacularAPIView._get_filename`, of the renderers of that view.
    #[must_use]
    pub fn disposition(self) -> Option<&'static str> {
        match self {
            Self::Json | Self::BrowsableApi => None,
            Self::OpenApiYaml | Self::OpenApiYaml2 => Some("inline; filename=\"schema.yaml\""),
            Self::OpenApiJson | Self::OpenApiJson2 => Some("inline; filename=\"schema.json\""),
        }
    }
}

/// `JSONRenderer.render`: compact, or with `indent` spaces a level.
#[must_use]
pub fn render_json(data: &Value, indent: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    let spaces = " ".repeat(indent);
    // Writing to a Vec cannot fail, and a Value has only string keys.
    let _ = if indent == 0 {
        data.serialize(&mut Serializer::new(&mut bytes))
    } else {
        let pretty = PrettyFormatter::with_indent(spaces.as_bytes());
        data.serialize(&mut Serializer::with_formatter(&mut bytes, pretty))
    };
    escape_line_separators(bytes)
}

/// `OpenApiYamlRenderer.render`.
#[must_use]
pub fn render_yaml(data: &Value) -> Vec<u8> {
    // What came from JSON can be written as YAML.
    serde_yaml::to_string(data).unwrap_or_default().into_bytes()
}

/// U+2028 and U+2029 end a line in JavaScript but not in JSON: DRF escapes them. They can
/// stand only inside strings, so the rendered text is searched.
fn escape_line_separators(bytes: Vec<u8>) -> Vec<u8> {
    const PREFIX: &[u8] = &[0xE2, 0x80];
    if !bytes.windows(2).any(|pair| pair == PREFIX) {
        return bytes;
    }
    String::from_utf8_lossy(&bytes)
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(data: &Value, indent: usize) -> String {
        String::from_utf8(render_json(data, indent)).unwrap()
    }

    #[test]
    fn json_is_compact_utf8_and_keeps_its_order() {
        let data = json!({"username": ["é\t\"\\"], "password": [true, null]});
        assert_eq!(text(&data, 0), r#"{"username":["é\t\"\\"],"password":[true,null]}"#);
    }

    #[test]
    fn line_separators_are_escaped() {
        assert_eq!(text(&json!("a\u{2028}b\u{2029}\u{2029}"), 0), r#""a\u2028b\u2029\u2029""#);
    }

    #[test]
    fn controls_are_escaped_as_python_does() {
        assert_eq!(
            text(&json!("\u{1}\u{8}\u{c}\u{1f}\u{7f}"), 0),
            "\"\\u0001\\b\\f\\u001f\u{7f}\""
        );
    }

    #[test]
    fn indent_breaks_lines_and_spaces_the_colon() {
        assert_eq!(
            text(&json!({"a": [1], "b": [], "c": {}}), 2),
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": [],\n  \"c\": {}\n}"
        );
    }
}

//! `rest_framework.negotiation.DefaultContentNegotiation`: which renderer answers.

use std::iter;

use super::exceptions::APIException;
use super::renderers::Renderer;
use super::utils::mediatypes::MediaType;
use crate::django::utils::text::strip;
use crate::versions::Versions;

const MAX_ACCEPT_HEADER_LENGTH: usize = 8192;
const MAX_ACCEPT_TOKENS: usize = 64;
const MAX_MEDIA_TYPE_LENGTH: usize = 256;

/// `request.accepted_renderer`, and what its media type asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The renderer.
    pub renderer: Renderer,
    /// The `indent` parameter of the accepted media type; 0 is compact.
    pub indent: Option<usize>,
}

/// `select_renderer`: 404 for an unknown `?format=`, 406 if nothing satisfies `Accept`.
///
/// `accept` is the header as text (latin-1), or `None` where the client sent none.
pub fn select_renderer(
    renderers: &[Renderer],
    format: Option<&str>,
    accept: Option<&str>,
    versions: Versions,
) -> Result<Accepted, APIException> {
    let renderers = filter_renderers(renderers, format.filter(|format| !format.is_empty()))?;
    // No header is `*/*`, which the first renderer satisfies.
    let Some(accept) = accept.filter(|accept| *accept != "*/*") else {
        let first = renderers.first().ok_or(APIException::NotAcceptable)?;
        return Ok(Accepted { renderer: *first, indent: None });
    };
    let parse = |text| MediaType::parse(text, versions);
    let accepts: Vec<MediaType> = if versions.media_types_are_bounded() {
        accept_tokens(accept).map(parse).collect()
    } else {
        accept.split(',').map(strip).map(parse).collect()
    };
    // `order_parsed_by_precedence`: the most specific types first; q is not looked at.
    for precedence in (0..=3).rev() {
        for &renderer in &renderers {
            let media_type = parse(renderer.media_type());
            let found = accepts.iter().find(|accepted| {
                accepted.precedence() == precedence && media_type.matches(accepted)
            });
            if let Some(accepted) = found {
                let indent = indent_of(renderer, accepted, versions);
                return Ok(Accepted {
                    renderer,
                    indent: indent.map(|indent| usize::try_from(indent.clamp(0, 8)).unwrap_or(0)),
                });
            }
        }
    }
    Err(APIException::NotAcceptable)
}

/// The `indent` of the media type that Django keeps: of a range it writes the parameters anew
/// behind the renderer's own type, without their quotes, and reads that.
fn indent_of(renderer: Renderer, accepted: &MediaType, versions: Versions) -> Option<i64> {
    let own = renderer.media_type();
    if MediaType::parse(own, versions).precedence() <= accepted.precedence() {
        return accepted.param("indent").and_then(python_int);
    }
    let params = accepted.params().map(|(name, value)| format!(";{name}={value}"));
    let full: String = iter::once(own.to_owned()).chain(params).collect();
    MediaType::parse(&full, versions).param("indent").and_then(python_int)
}

fn filter_renderers(
    renderers: &[Renderer],
    format: Option<&str>,
) -> Result<Vec<Renderer>, APIException> {
    let wanted = |renderer: &Renderer| format.is_none_or(|format| renderer.format() == format);
    let renderers: Vec<Renderer> = renderers.iter().copied().filter(wanted).collect();
    if renderers.is_empty() {
        return Err(APIException::NotFound);
    }
    Ok(renderers)
}

/// `get_accept_list`: a bounded number of tokens of bounded length from a bounded header.
fn accept_tokens(header: &str) -> impl Iterator<Item = &str> {
    // Lengths are in characters, as Python counts them.
    let limit = header.char_indices().nth(MAX_ACCEPT_HEADER_LENGTH).map(|(at, _)| at);
    let header = match limit.and_then(|limit| header.get(..limit)) {
        None => header,
        Some(head) => head.rfind(',').and_then(|cut| head.get(..=cut)).unwrap_or(""),
    };
    header
        .split(',')
        .map(strip)
        .filter(|token| !token.is_empty() && token.chars().count() <= MAX_MEDIA_TYPE_LENGTH)
        .take(MAX_ACCEPT_TOKENS)
}

/// Python's `int(text)`, saturated: blanks around, a sign, single underscores between digits.
fn python_int(text: &str) -> Option<i64> {
    let text = strip(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let well_formed = !digits.is_empty()
        && digits
            .split('_')
            .all(|part| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()));
    if !well_formed {
        return None;
    }
    let magnitude = digits.replace('_', "").parse().unwrap_or(i64::MAX);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[Renderer] = &[Renderer::Json, Renderer::BrowsableApi];

    fn select(accept: Option<&str>, format: Option<&str>) -> Result<Accepted, u16> {
        select_renderer(BOTH, format, accept, Versions::default())
            .map_err(|error| error.status_code())
    }

    fn renderer(accept: &str) -> Result<Renderer, u16> {
        select(Some(accept), None).map(|accepted| accepted.renderer)
    }

    #[test]
    fn no_accept_header_is_anything_and_an_empty_one_is_406() {
        assert_eq!(select(None, None).map(|accepted| accepted.renderer), Ok(Renderer::Json));
        assert_eq!(renderer(""), Err(406));
        assert_eq!(renderer(","), Err(406));
    }

    #[test]
    fn precedence_decides_and_q_does_not() {
        for (accept, expected) in [
            ("text/html, application/json", Ok(Renderer::Json)),
            ("text/html,*/*;q=0.8", Ok(Renderer::BrowsableApi)),
            ("application/json;q=0", Ok(Renderer::Json)),
            ("*/json", Ok(Renderer::Json)),
            ("TEXT/HTML", Ok(Renderer::BrowsableApi)),
            ("json", Err(406)),
            ("text/plain", Err(406)),
        ] {
            assert_eq!(renderer(accept), expected, "{accept}");
        }
    }

    #[test]
    fn format_filters_the_renderers_before_accept_is_looked_at() {
        assert_eq!(select(Some("text/html"), Some("json")), Err(406));
        assert_eq!(select(None, Some("xml")), Err(404));
        assert_eq!(select(None, Some("")).map(|accepted| accepted.renderer), Ok(Renderer::Json));
        let api = select(None, Some("api")).map(|accepted| accepted.renderer);
        assert_eq!(api, Ok(Renderer::BrowsableApi));
    }

    #[test]
    fn indent_is_an_int_as_python_reads_it() {
        for (written, indent) in [
            ("4", Some(4)),
            ("\"2\"", Some(2)),
            ("+2", Some(2)),
            ("1_0", Some(8)),
            ("-3", Some(0)),
            ("99999999999999999999", Some(8)),
            ("x", None),
            ("1__0", None),
            ("_1", None),
        ] {
            let accept = format!("application/json; indent={written}");
            assert_eq!(select(Some(&accept), None).map(|accepted| accepted.indent), Ok(indent));
        }
    }

    #[test]
    fn of_a_range_the_parameters_are_read_again_without_their_quotes() {
        for (accept, indent) in [
            (r#"*/*; x="a"; indent=2"#, Some(2)),
            (r#"application/*; x="\""; indent=2"#, None),
            (r#"application/json; x="\""; indent=2"#, Some(2)),
        ] {
            assert_eq!(select(Some(accept), None).map(|accepted| accepted.indent), Ok(indent));
        }
    }

    #[test]
    fn tokens_beyond_the_bounds_are_not_read() {
        assert_eq!(renderer(&format!("{}application/json", "a/b,".repeat(64))), Err(406));
        assert_eq!(renderer(&format!("{},application/json", "a".repeat(300))), Ok(Renderer::Json));
        assert_eq!(renderer(&format!("{},application/json", "a".repeat(8192))), Err(406));
    }
}

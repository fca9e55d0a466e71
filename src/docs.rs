//! `drf_spectacular.views.SpectacularSwaggerView` and `SpectacularRedocView`: pages that show the
//! document to people.
//!
//! The two programs are those that poem-openapi embeds. Its pages have everything inline, and one
//! takes fonts from elsewhere; these are our own: each part is a file of this service, so that
//! they work offline and under a Content-Security-Policy without `unsafe-inline`.

use std::sync::LazyLock;

use bytes::Bytes;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response, Result};
use poem_openapi::OpenApiService;

use crate::django::utils::translation::Translation;
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::renderers::{Renderer, render_json};
use crate::settings::Settings;

/// Nothing from elsewhere, and no script or style but in files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'";
/// ReDoc makes two style elements: one is empty and gets its rules by script, the other one is of
/// its scroll bar. These are their hashes.
const REDOC_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' \
     'sha256-sDI9pUw6Z98NC0sorERcD03vlQ8zZwyaBSQ06jerL4M='; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// A file that does not change while the service runs.
#[derive(Clone)]
pub struct StaticFile {
    content_type: &'static str,
    policy: Option<&'static str>,
    body: Part,
}

#[derive(Clone)]
enum Part {
    Ours(Bytes),
    Embedded(fn() -> Bytes),
}

/// The stylesheet and the program of Swagger UI, and the program of ReDoc.
///
/// Why statics that are filled late? The programs are always the same, and take 6 MB of a process that needs 12 without
/// them. From the first look on, which costs its thread some milliseconds, they are kept.
static SWAGGER_UI: LazyLock<(Bytes, Bytes)> = LazyLock::new(|| {
    let html = service().swagger_ui_html();
    (between(&html, "<style charset=\"UTF-8\">", "</style>"), program(&html))
});
static REDOC: LazyLock<Bytes> = LazyLock::new(|| program(&service().redoc_html()));

/// One of the pages, and what it loads.
struct Page<'a> {
    path: &'a str,
    policy: &'static str,
    stylesheet: Part,
    program: Part,
    /// Ours: starts the program with the document's URL.
    start: &'static str,
}

/// The pages that the settings ask for: each file with its path.
#[must_use]
pub fn pages(settings: &Settings) -> Vec<(String, StaticFile)> {
    let Some(schema) = &settings.schema_path else { return Vec::new() };
    let swagger_ui = settings.swagger_ui_path.as_deref().map(|path| Page {
        path,
        policy: POLICY,
        stylesheet: Part::Embedded(|| SWAGGER_UI.0.clone()),
        program: Part::Embedded(|| SWAGGER_UI.1.clone()),
        start: include_str!("docs/swagger-ui.js"),
    });
    let redoc = settings.redoc_path.as_deref().map(|path| Page {
        path,
        policy: REDOC_POLICY,
        stylesheet: Part::Ours(Bytes::from_static(b"body { margin: 0 }\n")),
        program: Part::Embedded(|| REDOC.clone()),
        start: include_str!("docs/redoc.js"),
    });
    [swagger_ui, redoc].into_iter().flatten().flat_map(|page| files(page, schema)).collect()
}

fn files(page: Page<'_>, schema: &str) -> [(String, StaticFile); 4] {
    let html = html(&relative(page.path, schema));
    let file = |name: &str, content_type, body| {
        let policy = name.is_empty().then_some(page.policy);
        (format!("{}{name}", page.path), StaticFile { content_type, policy, body })
    };
    let script = "text/javascript; charset=utf-8";
    [
        file("", "text/html; charset=utf-8", Part::Ours(html.into())),
        file("style.css", "text/css; charset=utf-8", page.stylesheet),
        file("program.js", script, page.program),
        file("start.js", script, Part::Ours(Bytes::from_static(page.start.as_bytes()))),
    ]
}

/// The page. A new version of this service is a new name to a cache.
fn html(schema: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"style.css?v={version}\">\n\
         <script src=\"program.js?v={version}\" defer></script>\n\
         <script src=\"start.js?v={version}\" defer></script>\n</head>\n<body>\n\
         <div id=\"docs\" data-url=\"{schema}\"></div>\n\
         <noscript><p>This page needs JavaScript. <a href=\"{schema}\">The document itself</a> \
         does not.</p></noscript>\n</body>\n</html>\n",
        title = env!("CARGO_PKG_NAME"),
    )
}

/// The way from a page to another path, so that it holds behind a proxy that adds a prefix too.
fn relative(page: &str, path: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (page.split('/').collect(), path.split('/').collect());
    // The last part of each is a name in a folder, or nothing.
    let (folder, other) = (from.len().saturating_sub(1), to.len().saturating_sub(1));
    let both = from.iter().take(folder).zip(to.iter().take(other));
    let shared = both.take_while(|(one, other)| one == other).count();
    let up = "../".repeat(folder - shared);
    let down = to.into_iter().skip(shared).collect::<Vec<_>>().join("/");
    if up.is_empty() && down.is_empty() { "./".to_owned() } else { format!("{up}{down}") }
}

fn service() -> OpenApiService<(), ()> {
    OpenApiService::new((), "", "")
}

fn program(html: &str) -> Bytes {
    between(html, "<script charset=\"UTF-8\">", "</script>")
}

fn between(html: &str, open: &str, close: &str) -> Bytes {
    let part = html.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    part.map(|(part, _)| part.to_owned()).unwrap_or_default().into()
}

impl Part {
    fn bytes(&self) -> Bytes {
        match self {
            Self::Ours(bytes) => bytes.clone(),
            Self::Embedded(bytes) => bytes(),
        }
    }
}

impl Endpoint for StaticFile {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Ok(method_not_allowed(request.method()));
        }
        let mut response = Response::builder().content_type(self.content_type).finish();
        let headers = response.headers_mut();
        let caching = if self.policy.is_some() { "no-cache" } else { "max-age=86400" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        if let Some(policy) = self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        }
        response.set_body(self.body.bytes());
        Ok(response)
    }
}

fn method_not_allowed(method: &Method) -> Response {
    let error = APIException::MethodNotAllowed(method.as_str().to_uppercase());
    let body = render_json(&error.detail(&Translation::english()).unwrap_or_default(), 0);
    Response::builder()
        .status(StatusCode::METHOD_NOT_ALLOWED)
        .content_type(Renderer::Json.content_type())
        .header(header::ALLOW, "GET, HEAD")
        .body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_and_the_stylesheet_are_found() {
        let files = pages(&Settings::defaults().unwrap());
        let size = |path: &str| {
            let found = files.iter().find(|(known, _)| known == path);
            found.map(|(_, file)| file.body.bytes().len()).unwrap_or_default()
        };
        assert!(size("/api/schema/swagger-ui/program.js") > 1_000_000);
        assert!(size("/api/schema/swagger-ui/style.css") > 100_000);
        assert!(size("/api/schema/redoc/program.js") > 900_000);
    }

    #[test]
    fn the_pages_can_be_switched_off() {
        let mut settings = Settings::defaults().unwrap();
        settings.redoc_path = None;
        assert!(pages(&settings).iter().all(|(path, _)| path.contains("swagger-ui")));
        settings.schema_path = None;
        assert!(pages(&settings).is_empty());
    }

    #[test]
    fn the_way_to_the_document_is_relative() {
        for (page, schema, way) in [
            ("/api/schema/redoc/", "/api/schema/", "../"),
            ("/docs/", "/api/schema/", "../api/schema/"),
            ("/", "/schema/", "schema/"),
            ("/schema/ui/", "/schema", "../../schema"),
        ] {
            assert_eq!(relative(page, schema), way, "{page} {schema}");
        }
    }
}

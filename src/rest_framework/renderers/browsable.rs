//! `rest_framework.renderers.BrowsableAPIRenderer`: a page of our own about a request and its
//! answer. It has no script and loads nothing, so that it works offline, and its policy allows
//! nothing but its style.
//!
//! Why has it no form for a token? A form cannot send the `Authorization` header. It could send
//! the token in a URL, where it would stay in logs and histories, or in a body, to a path that
//! would be a second way in beside the header. DRF's page has none either. So the page says how:
//! a line for a shell, and Swagger UI, where a script sends the header.

use std::fmt::Write;

use poem::http::{HeaderMap, Method, StatusCode, Uri, header};

/// `Content-Security-Policy`: the hash is that of [`STYLE`].
pub const POLICY: &str = "default-src 'none'; \
     style-src 'sha256-y1h3DRzeMmWeaJXU2od04+CgwXm8HUk2U/S05IQewsQ='; base-uri 'none'; form-action 'none'";

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}\
    h1{font-size:1.6rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
    pre{border:1px solid #8886;border-radius:4px;padding:1rem;margin:.5rem 0;white-space:pre-wrap;overflow-wrap:anywhere;\
    background:#8881}";

/// What is shown of a request's headers: nothing that could be a secret.
const SHOWN: [header::HeaderName; 4] =
    [header::HOST, header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE];

/// What the page says beside the answer; taken before the request goes to its handler.
#[derive(Debug)]
pub struct Page {
    /// The view's name.
    pub name: &'static str,
    /// The request's method.
    pub method: Method,
    /// The request's target.
    pub uri: Uri,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Where a client finds this service, without a slash at the end.
    pub root: String,
    /// What stands before a token.
    pub keyword: String,
    /// The path of the login.
    pub login: String,
    /// Pages and documents about the API: what they are called, and their paths.
    pub docs: Vec<(&'static str, String)>,
}

impl Page {
    /// `render`: the request, then the answer's status, headers and indented JSON, escaped.
    #[must_use]
    pub fn render(&self, status: StatusCode, headers: &HeaderMap, json: &[u8]) -> Vec<u8> {
        let shown = SHOWN.into_iter().flat_map(|name| {
            let values = self.headers.get_all(&name).iter();
            values.map(move |value| (name.clone(), value)).collect::<Vec<_>>()
        });
        let asked = lines(shown);
        let answered = lines(headers.iter().map(|(name, value)| (name.clone(), value)));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"none\">\n<title>{name}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n\
             <h2>Request</h2>\n<pre><b>{method} {target}</b>\n{asked}</pre>\n\
             <h2>Answer</h2>\n<pre><b>HTTP {status}</b>\n{answered}\n{json}</pre>\n\
             {help}{docs}</body>\n</html>\n",
            name = escape(self.name),
            method = escape(self.method.as_str()),
            target = escape(self.uri.path_and_query().map_or("/", |target| target.as_str())),
            json = escape(&String::from_utf8_lossy(json)),
            help = self.help(),
            docs = self.docs(),
        )
        .into_bytes()
    }

    /// How to send a token, without a script.
    fn help(&self) -> String {
        let Self { root, login, keyword, .. } = self;
        // A quote would end the word in a shell.
        let target = |path: &str| escape(&format!("'{root}{}'", path.replace('\'', "%27")));
        format!(
            "<h2>Send a token</h2>\n<p>A page cannot send it by itself; a shell can:</p>\n\
             <pre>curl -H {header} {here}</pre>\n<p>A token is what the login answers:</p>\n\
             <pre>curl -d username=NAME -d password=PASSWORD {login}</pre>\n",
            header = escape(&format!("'Authorization: {keyword} YOUR-TOKEN'")),
            here = target(self.uri.path()),
            login = target(login),
        )
    }

    fn docs(&self) -> String {
        let mut html = String::from("<h2>Read on</h2>\n<ul>\n");
        let json = ("This answer as JSON", format!("{}?format=json", self.uri.path()));
        for (name, path) in [json].iter().chain(&self.docs) {
            // Writing to a String cannot fail.
            let _ = writeln!(html, "<li><a href=\"{}\">{}</a></li>", escape(path), escape(name));
        }
        html + "</ul>\n"
    }
}

fn lines<'a>(
    headers: impl Iterator<Item = (header::HeaderName, &'a header::HeaderValue)>,
) -> String {
    let mut lines = String::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{name}: {}", escape(&value));
    }
    lines
}

/// `django.utils.html.escape`.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    fn page(target: &str, headers: &[(&'static str, &str)]) -> String {
        let mut page = Page {
            name: "Secret",
            method: Method::GET,
            uri: target.parse().unwrap(),
            headers: HeaderMap::new(),
            root: "http://t".to_owned(),
            keyword: "Token".to_owned(),
            login: "/log-in/".to_owned(),
            docs: vec![("Swagger UI", "/docs/".to_owned())],
        };
        for (name, value) in headers {
            page.headers.insert(*name, value.parse().unwrap());
        }
        let html = page.render(StatusCode::OK, &HeaderMap::new(), b"{\"a\": \"<script>&\"}");
        String::from_utf8(html).unwrap()
    }

    #[test]
    fn nothing_of_the_request_or_the_answer_is_markup() {
        let html = page("/secret/?a='%3Cb%3E'&c=%22", &[("accept", "<i>\"'&")]);
        assert!(html.contains("{&quot;a&quot;: &quot;&lt;script&gt;&amp;&quot;}"));
        assert!(html.contains("GET /secret/?a=&#x27;%3Cb%3E&#x27;&amp;c=%22"));
        assert!(html.contains("accept: &lt;i&gt;&quot;&#x27;&amp;"));
        assert!(!html.contains("<script") && !html.contains("<i>"));
    }

    #[test]
    fn no_secret_of_the_request_is_shown() {
        let html = page("/secret/", &[("authorization", "Token k3y"), ("cookie", "k3y")]);
        assert!(!html.contains("k3y"));
    }

    #[test]
    fn a_path_cannot_end_the_word_of_the_shell() {
        let html = page("/se'cret/", &[]);
        assert!(html.contains("&#x27;http://t/se%27cret/&#x27;"));
    }

    #[test]
    fn the_policy_allows_this_style() {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }
}

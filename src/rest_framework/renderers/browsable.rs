//! `rest_framework.renderers.BrowsableAPIRenderer`: a page of our own about a request and its
//! answer. It has no script and loads nothing, so that it works offline and under any
//! Content-Security-Policy that allows its style.

use std::fmt::Write;

use poem::http::{HeaderMap, Method, StatusCode, Uri};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;\
    padding:0 1rem;color:#222}h1{font-size:1.5rem}pre{background:#f4f4f6;border:1px solid #ddd;\
    border-radius:4px;padding:1rem;overflow-x:auto}";

/// What the page says of the request; taken before the request goes to its handler.
#[derive(Debug)]
pub struct Page {
    name: &'static str,
    method: Method,
    uri: Uri,
}

impl Page {
    /// The page of the view `name` for a request.
    #[must_use]
    pub fn of(name: &'static str, method: &Method, uri: &Uri) -> Self {
        Self { name, method: method.clone(), uri: uri.clone() }
    }

    /// `render`: the answer's status, headers and indented JSON, escaped.
    #[must_use]
    pub fn render(&self, status: StatusCode, headers: &HeaderMap, json: &[u8]) -> Vec<u8> {
        let mut answer = format!("HTTP {status}\n");
        for (name, value) in headers {
            // Writing to a String cannot fail.
            let _ = writeln!(answer, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        let json = String::from_utf8_lossy(json);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"robots\" content=\"none\">\n<title>{name}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n\
             <pre><b>{request}</b></pre>\n<pre>{answer}\n{json}</pre>\n</body>\n</html>\n",
            name = escape(self.name),
            request = escape(&format!("{} {target}", self.method)),
            answer = escape(&answer),
            json = escape(&json),
        )
        .into_bytes()
    }
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
    use super::*;

    #[test]
    fn nothing_of_the_request_or_the_answer_is_markup() {
        let uri: Uri = "/secret/?a='%3Cb%3E'&c=%22".parse().unwrap();
        let page = Page::of("Secret", &Method::GET, &uri);
        let html = page.render(StatusCode::OK, &HeaderMap::new(), b"{\"a\": \"<script>&\"}");
        let html = String::from_utf8(html).unwrap();
        assert!(html.contains("{&quot;a&quot;: &quot;&lt;script&gt;&amp;&quot;}"));
        assert!(html.contains("GET /secret/?a=&#x27;%3Cb%3E&#x27;&amp;c=%22"));
        assert!(!html.contains("<script"));
    }
}

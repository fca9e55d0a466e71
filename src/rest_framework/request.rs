//! `rest_framework.request.Request`: what a handler asks of its request, as extractors that
//! also document themselves.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use poem::http::{HeaderMap, HeaderValue, header};
use poem::{Body, Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSecurityScheme, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::exceptions::APIException;
use super::parsers::{self, Data, Limits, ParseFailure, Parser, ParserContext};
use super::view::{APIView, View};
use crate::django::auth::models::User;
use crate::django::utils::http::text_of_header;
use crate::memory::{self, Memory};
use crate::proxies::{self, RequestId};
use crate::settings::Settings;
use crate::state::State;

/// `request.data`, parsed when the handler is about to run; `T` is its documented shape.
pub struct RequestData<V, T> {
    /// The parsed body.
    pub data: Data,
    documented: PhantomData<(V, T)>,
}

impl<'a, V: APIView, T: Type> ApiExtractor<'a> for RequestData<V, T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let media_type = |parser: &Parser| MetaMediaType {
            content_type: parser.media_type(),
            schema: T::schema_ref(),
        };
        Some(MetaRequest {
            description: None,
            content: V::VIEW.parsers.iter().map(media_type).collect(),
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let state = state_of(request)?;
        let loaded = request.extensions().get::<Loaded>().and_then(Loaded::take);
        let data = match loaded {
            Some(data) => data,
            None => parse(&V::VIEW, request.headers(), body.take()?, state, None).await?,
        };
        Ok(Self { data, documented: PhantomData })
    }
}

/// Data that was looked at before the handler.
#[derive(Clone)]
struct Loaded(Arc<Mutex<Option<Data>>>);

impl Loaded {
    fn take(&self) -> Option<Data> {
        self.0.lock().ok()?.take()
    }
}

/// `Request._load_data_and_files`, before the handler: it is given the same data. One more field is read than those of
/// the view's serializer.
pub(super) async fn load_data_and_files(
    request: &mut Request,
    view: &View,
    state: &State,
    field: &'static str,
) -> Result<Data, APIException> {
    let body = request.take_body();
    let data = parse(view, request.headers(), body, state, Some(field)).await?;
    request.extensions_mut().insert(Loaded(Arc::new(Mutex::new(Some(data.clone())))));
    Ok(data)
}

/// `Request._parse`: no body is empty data whatever its type; a type that no parser of the view
/// takes is 415 before the body is read.
async fn parse(
    view: &View,
    headers: &HeaderMap,
    body: Body,
    state: &State,
    further: Option<&'static str>,
) -> Result<Data, APIException> {
    let settings = &state.settings;
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    if !chunked && length.is_none_or(|length| length.iter().all(|digit| *digit == b'0')) {
        return Ok(Data::empty());
    }
    let text = text_of_header(content_type);
    let Some(parser) = parsers::select_parser(view.parsers, &text, settings.versions()) else {
        let read = if chunked { read_body(body, None, length, state).await.ok() } else { None };
        return match read {
            Some((body, _)) if body.content().is_empty() => Ok(Data::empty()),
            _ => Err(APIException::UnsupportedMediaType(text)),
        };
    };
    let (body, is_large) = read_body(body, Some(parser), length, state).await?;
    if body.content().is_empty() {
        return Ok(Data::empty());
    }
    let limits = Limits {
        max_memory_size: settings.data_upload_max_memory_size,
        number_fields: settings.data_upload_max_number_fields,
        number_files: settings.data_upload_max_number_files,
    };
    let fields = view.serializer.map_or(&[][..], |serializer| serializer.fields);
    let fields = fields.iter().map(|field| field.name).chain(further).collect();
    let context = ParserContext { limits, versions: settings.versions(), fields };
    if !is_large {
        return Ok(parsers::parse(parser, body, content_type, &context)?);
    }
    // A large body takes its time, in which other requests want the thread.
    let content_type = content_type.to_owned();
    let parsing =
        tokio::task::spawn_blocking(move || parsers::parse(parser, body, &content_type, &context));
    Ok(parsing.await.map_err(|error| APIException::ServerError(Box::new(error)))??)
}

/// The whole body, within its bounds in bytes and in time, and whether it may be a large one. That
/// holds its share of `BODY_MEMORY` as long as anything is kept of it.
async fn read_body(
    body: Body,
    parser: Option<Parser>,
    length: Option<&[u8]>,
    state: &State,
) -> Result<(Memory, bool), APIException> {
    let State { settings, body_memory, .. } = state;
    let memory = settings.data_upload_max_memory_size;
    let (limit, over) = match (parser, memory) {
        (Some(Parser::Json | Parser::Form), Some(memory))
            if memory < settings.max_body_size && settings.versions().bodies_are_bounded() =>
        {
            (memory, APIException::from(ParseFailure::RequestDataTooBig))
        }
        _ => (settings.max_body_size, APIException::ContentTooLarge),
    };
    let announced = length.and_then(|digits| str::from_utf8(digits).ok()?.parse::<usize>().ok());
    let expected = announced.unwrap_or(limit);
    if expected > limit && announced.is_some() {
        return Err(over);
    }
    let is_large = expected > memory::SMALL;
    let share = if is_large { Some(share(body_memory, expected)?) } else { None };
    let mut memory = Memory::with_room(expected, share).map_err(APIException::unavailable)?;
    let mut pieces = body.into_bytes_stream();
    let read = async {
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) if memory.append(&piece) => {}
                Ok(_) => return Err(over),
                // The client left in the middle of its body: nobody reads this answer.
                Err(_) => {
                    let detail = "The request body is incomplete.";
                    return Err(APIException::ParseError(detail.to_owned()));
                }
            }
        }
        Ok(())
    };
    match tokio::time::timeout(settings.body_timeout, read).await {
        Err(_) => Err(APIException::RequestTimeout),
        Ok(Ok(())) => Ok((memory, is_large)),
        Ok(Err(error)) => Err(error),
    }
}

/// A share of the memory of all large bodies, which is counted in KiB.
fn share(memory: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, APIException> {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let share = Arc::clone(memory).try_acquire_many_owned(kib);
    share.map_err(|_| APIException::unavailable(BodyMemoryExhausted))
}

/// Too many large bodies arrive at the same time.
#[derive(Debug)]
struct BodyMemoryExhausted;

impl std::fmt::Display for BodyMemoryExhausted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BODY_MEMORY is in use by other requests")
    }
}

impl std::error::Error for BodyMemoryExhausted {}

impl From<ParseFailure> for APIException {
    fn from(failure: ParseFailure) -> Self {
        match failure {
            ParseFailure::Parse(detail) => Self::ParseError(detail),
            ParseFailure::TooManyFields => Self::SuspiciousOperation("TooManyFieldsSent"),
            ParseFailure::TooManyFiles => Self::SuspiciousOperation("TooManyFilesSent"),
            ParseFailure::RequestDataTooBig => Self::SuspiciousOperation("RequestDataTooBig"),
        }
    }
}

/// `request.user` of a view whose permissions let only users in.
pub struct RequestUser(pub User);

impl<'a> ApiExtractor<'a> for RequestUser {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "apiKey",
            description: Some("Token-based authentication with required prefix \"Token\""),
            name: Some("Authorization"),
            key_in: Some("header"),
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme("tokenAuth", scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec!["tokenAuth"]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let user = request.extensions().get::<User>().cloned();
        Ok(Self(user.ok_or(APIException::NotAuthenticated)?))
    }
}

/// The state that `dispatch` put into the request.
pub struct RequestState(pub Arc<State>);

impl<'a> poem::FromRequest<'a> for RequestState {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        Ok(Self(Arc::clone(state_of(request)?)))
    }
}

/// Where a request comes from, as far as it can be known, and its number: for the log.
pub struct RequestClient {
    /// `REMOTE_ADDR`, or what a trusted proxy says instead.
    pub address: Option<IpAddr>,
    /// The number, if requests have one.
    pub request_id: Option<String>,
}

impl RequestClient {
    /// Of this request.
    #[must_use]
    pub fn new(request: &Request, settings: &Settings) -> Self {
        let trusted = &settings.trusted_proxies;
        let address = proxies::client(request.remote_addr(), request.headers(), trusted);
        let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        Self { address, request_id }
    }

    /// One line for each password that was judged, and its count.
    pub fn audit(&self, state: &State, user_id: Option<&str>, result: &'static str) {
        state.metrics.login(result);
        let address = self.address.map(|address| address.to_string());
        let request_id = self.request_id.as_deref();
        tracing::info!(target: "drf_authtoken::audit", user_id, result, address, request_id, "login");
    }
}

impl<'a> poem::FromRequest<'a> for RequestClient {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        Ok(Self::new(request, &state_of(request)?.settings))
    }
}

fn state_of(request: &Request) -> Result<&Arc<State>, APIException> {
    request
        .extensions()
        .get::<Arc<State>>()
        .ok_or_else(|| APIException::ServerError("a handler was called outside dispatch".into()))
}

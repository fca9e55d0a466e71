//! `rest_framework.authtoken.views.ObtainAuthToken`: a token for a username and a password.

use poem_openapi::OpenApi;

use super::models::generate_key;
use super::serializers::{AUTH_TOKEN, AuthToken, AuthTokenRequest};
use crate::django::auth::backends::{self, Refused};
use crate::django::auth::hashers::Password;
use crate::django::auth::models::Credentials;
use crate::memory::TypedText;
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::messages::REFUSED;
use crate::rest_framework::parsers::Parser;
use crate::rest_framework::renderers::Renderer;
use crate::rest_framework::request::{RequestClient, RequestData, RequestState};
use crate::rest_framework::view::{APIView, View};
use crate::rest_framework::views::Response;
use crate::state::State;

/// How often a login starts over because the user's row changed under it. Django rewrites an
/// outdated hash at each login that has read it, so as many logins at once can be that often in
/// the way; each start is a hash, and needs somebody who has just written the row.
const ATTEMPTS: usize = 32;

/// The view.
pub struct ObtainAuthToken;

impl APIView for ObtainAuthToken {
    const VIEW: View = View {
        name: "Obtain Auth Token",
        description: "",
        renderers: &[Renderer::Json],
        parsers: &[Parser::Form, Parser::MultiPart, Parser::Json],
        permissions: &[],
        serializer: Some(&AUTH_TOKEN),
        head: false,
    };
}

#[OpenApi]
impl ObtainAuthToken {
    /// Obtain auth token
    ///
    /// Exchanges a username and a password for the user's token, which is made at the first
    /// login and stays the same. Send no `Authorization` header: a bad one is refused here too.
    #[oai(path = "/api-token-auth", method = "post")]
    async fn post(
        &self,
        RequestState(state): RequestState,
        client: RequestClient,
        body: RequestData<ObtainAuthToken, AuthTokenRequest>,
    ) -> Result<Response<AuthToken>, APIException> {
        let values = AUTH_TOKEN.run_validation(body.data)?;
        let Ok([username, password]) = <[TypedText; 2]>::try_from(values) else {
            return Err(APIException::ServerError("AUTH_TOKEN has other fields".into()));
        };
        let token = obtain(&state, &client, &username, password.into()).await?;
        Ok(Response(AuthToken { token }))
    }
}

/// Verifies, then issues only if the verified hash is still the user's: a password that was
/// changed, a user who was deactivated or deleted meanwhile, gets no token.
async fn obtain(
    state: &State,
    client: &RequestClient,
    username: &str,
    password: Password,
) -> Result<String, APIException> {
    let State { database, users, hashing_pool, metrics, .. } = state;
    let mut before: Option<Credentials> = None;
    for _ in 0..ATTEMPTS {
        let verified =
            backends::authenticate(database, users, hashing_pool, username, &password).await;
        let credentials = match verified.map_err(APIException::unavailable)? {
            Ok(credentials) => credentials,
            Err(Refused { user, reason }) => {
                client.audit(state, user.as_deref(), reason);
                return Err(APIException::non_field_error(REFUSED));
            }
        };
        let key = generate_key(state.random).map_err(APIException::unavailable)?;
        let created = (state.now)();
        let issued = state.tokens.get_or_create(database, &credentials, &key, created).await;
        if let Some(token) = issued.map_err(APIException::unavailable)? {
            if token == key {
                metrics.tokens.inc();
            }
            client.audit(state, Some(&credentials.user.pk), "succeeded");
            return Ok(token);
        }
        // Else the hash would be made in vain again and again.
        if before.is_some_and(|before| before.password.as_str() == credentials.password.as_str()) {
            break;
        }
        before = Some(credentials);
    }
    let changing = std::io::Error::other("the user's row changed during each attempt to log in");
    Err(APIException::unavailable(changing))
}

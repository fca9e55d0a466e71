//! The token-auth endpoints of a Django REST framework site, served from the same database.
//!
//! A rule of Django or DRF stands where its Python path says: `django.contrib.auth.hashers` is
//! [`django::auth::hashers`], `rest_framework.negotiation` is [`rest_framework::negotiation`].
//! What has no Python counterpart stands at the top. The way of a request is
//! [`server`] → [`django::middleware`] → [`urls`] → `dispatch` in [`rest_framework::views`] →
//! a view, such as [`rest_framework::authtoken::views`].
//!
//! Imports run down this list only: [`management`], [`observe`] and [`urls`], [`openapi`] and [`docs`], [`secret`] and
//! [`forward_auth`], [`rest_framework`], [`state`], the two `models`, the token look-ups and [`django`], [`db`],
//! [`metrics`], [`proxies`] and [`server`],
//! [`settings`], [`memory`] and [`versions`]. A script checks it.

pub mod db;
pub mod django;
pub mod docs;
pub mod forward_auth;
pub mod management;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod openapi;
pub mod proxies;
pub mod rest_framework;
pub mod secret;
pub mod server;
pub mod settings;
pub mod state;
#[cfg(feature = "opentelemetry")]
pub mod traces;
pub mod urls;
pub mod versions;

//! The parts of Django REST framework that stand behind the token endpoints.

pub mod authentication;
pub mod authtoken;
pub mod exceptions;
pub mod fields;
pub mod messages;
pub mod metadata;
pub mod negotiation;
pub mod parsers;
pub mod permissions;
pub mod renderers;
pub mod request;
pub mod serializers;
pub mod utils;
pub mod view;
pub mod views;

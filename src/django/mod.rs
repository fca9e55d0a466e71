//! The parts of Django that stand before and under the views.

pub mod auth;
pub mod core;
pub mod defaults;
pub mod http;
pub mod middleware;
pub mod sessions;
pub mod utils;
